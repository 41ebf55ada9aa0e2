package io.hops.util.s3a;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.invoke.MethodHandles;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.security.ProtectionDomain;
import org.apache.hadoop.fs.s3a.S3AFileSystem;

/**
 * Puts a credentials provider of ours into S3A's class loader.
 *
 * <p>Problem: with hadoop-aws on the system class path and our jar on the user's, S3A cannot see our classes, and it looks for
 * providers only in its own loader (https://issues.apache.org/jira/browse/HADOOP-19733).
 *
 * <p>Solution: one small class is defined in S3A's loader. It asks {@link BucketSource} through JDK types.
 */
public final class Bridge {
  /** The beginning of the name of every such provider, whatever its protocol and SDK line. */
  static final String NAME = "org.apache.hadoop.fs.s3a.HopsBridge";

  /** The beginning of the names of our providers that S3A finds by itself where our jar lies beside it. */
  private static final String VISIBLE = "io.hops.util.aws.CredentialsProvider";

  private Bridge() {}

  /**
   * Makes the provider available to S3A. Does nothing when it already is.
   *
   * @return the name of the provider class
   * @throws IOException when S3A's class loader takes no class from us
   */
  public static synchronized String ensure() throws IOException {
    ClassLoader loader = S3AFileSystem.class.getClassLoader();
    String name = NAME + (isSdk2(loader) ? "1V2" : "1V1");
    try {
      Class<?> bridge;
      try {
        bridge = Class.forName(name, true, loader);
      } catch (ClassNotFoundException e) {
        bridge = define(name);
      }
      // The copy of this jar that came last wins: the class loader of an earlier one may be closed.
      bridge.getField("SOURCE").set(null, BucketSource.factory());
      return name;
    } catch (ReflectiveOperationException | SecurityException e) {
      Throwable cause = e instanceof InvocationTargetException ? e.getCause() : e;
      if (cause instanceof LinkageError) {
        throw (LinkageError) cause;
      }
      if (isVisible()) {
        return visibleProvider();
      }
      throw new IOException(
          "the class loader of S3A, " + loaderName() + ", takes no class from us ("
              + cause
              + "); put the jar of hops-credentials beside hadoop-aws",
          cause);
    }
  }

  /**
   * Returns true if a file system's provider is one of ours.
   *
   * @param provider the name of a class, or null
   * @return true for ours
   */
  public static boolean isOurs(String provider) {
    return provider != null && (provider.startsWith(NAME) || provider.startsWith(VISIBLE));
  }

  /**
   * Returns true if S3A can load the classes of our jar by their names.
   *
   * @return true where both jars are on one class path
   */
  public static boolean isVisible() {
    try {
      return Class.forName(Bridge.class.getName(), false, S3AFileSystem.class.getClassLoader()) == Bridge.class;
    } catch (ClassNotFoundException e) {
      return false;
    }
  }

  /**
   * Names our provider that S3A can load without {@link HopsS3AFileSystem}.
   *
   * @return the name of the class
   */
  public static String visibleProvider() {
    return VISIBLE + (isSdk2(S3AFileSystem.class.getClassLoader()) ? "V2" : "V1");
  }

  /**
   * Names S3A's class loader, in which the provider lives.
   *
   * @return the name of its class
   */
  public static String loaderName() {
    return S3AFileSystem.class.getClassLoader().getClass().getSimpleName();
  }

  /** Looks for a class that came with SDK v2 in Hadoop 3.4. Vendors backport it, so the version of Hadoop does not tell. */
  private static boolean isSdk2(ClassLoader loader) {
    try {
      Class.forName("org.apache.hadoop.fs.s3a.auth.CredentialProviderListFactory", false, loader);
      return true;
    } catch (ClassNotFoundException e) {
      return false;
    }
  }

  static Class<?> define(String name) throws ReflectiveOperationException, IOException {
    try {
      return define(bytes(name));
    } catch (InvocationTargetException e) {
      try {
        // Another copy of this jar may have defined it a moment ago.
        return Class.forName(name, true, S3AFileSystem.class.getClassLoader());
      } catch (ClassNotFoundException none) {
        throw e;
      }
    }
  }

  /** Calls {@code privateLookupIn(S3AFileSystem.class, lookup()).defineClass(code)}, by reflection since Java 8 lacks it. */
  private static Class<?> define(byte[] code) throws ReflectiveOperationException {
    Method privateLookupIn;
    try {
      privateLookupIn = MethodHandles.class.getMethod("privateLookupIn", Class.class, MethodHandles.Lookup.class);
    } catch (NoSuchMethodException java8) {
      return defineOnJava8(code);
    }
    Object lookup = privateLookupIn.invoke(null, S3AFileSystem.class, MethodHandles.lookup());
    Method defineClass = MethodHandles.Lookup.class.getMethod("defineClass", byte[].class);
    return (Class<?>) defineClass.invoke(lookup, (Object) code);
  }

  /** Calls the method of the class loader, which later versions keep from us. */
  private static Class<?> defineOnJava8(byte[] code) throws ReflectiveOperationException {
    Method defineClass =
        ClassLoader.class.getDeclaredMethod(
            "defineClass", String.class, byte[].class, int.class, int.class, ProtectionDomain.class);
    defineClass.setAccessible(true);
    ProtectionDomain domain = S3AFileSystem.class.getProtectionDomain();
    return (Class<?>)
        defineClass.invoke(S3AFileSystem.class.getClassLoader(), null, code, 0, code.length, domain);
  }

  /** Reads the class from a resource: as a class file of our jar, another loader could find and define it too. */
  private static byte[] bytes(String name) throws IOException {
    String resource = "/bridge/" + name.substring(name.lastIndexOf('.') + 1) + ".bin";
    try (InputStream in = Bridge.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IllegalStateException(
            "the jar of hops-credentials has no " + resource + "; use the jar as published");
      }
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      byte[] buffer = new byte[4096];
      for (int n = in.read(buffer); n > 0; n = in.read(buffer)) {
        out.write(buffer, 0, n);
      }
      return out.toByteArray();
    }
  }
}
