package io.hops.util;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.File;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Two copies of the jar in one JVM, as with sbt's second {@code run} or a notebook with {@code --jars}. */
class ClassLoadersTest {
  private static final String READER = RoleMappingServer.READER;
  private static final String WRITER = RoleMappingServer.WRITER;
  private static final String BASE = "AWS4-HMAC-SHA256 Credential=AKIABASE/";

  private DirectSts sts;

  @BeforeEach
  void startSts() throws Exception {
    sts = new DirectSts();
  }

  @AfterEach
  void stopSts() {
    sts.close();
  }

  @Test
  void everyCopyAsksWithTheBaseIdentityAndNeverWithWhatWasIssued() throws Exception {
    String printed = sts.jvm().run(Copies.class, ChildJvm.JAR, READER, READER, READER, WRITER, READER);
    assertEquals("ASIAISSUED\nASIAISSUED\nASIAISSUED\nASIAISSUED\nASIAISSUED\n", printed);
    assertEquals(5, sts.http.requests.size());
    for (String authorization : sts.http.authorizations) {
      assertEquals(BASE, authorization.substring(0, BASE.length()));
    }
  }

  @Test
  void copiesOfANamedFileLoadToo(@TempDir Path directory) throws Exception {
    Path library = Files.write(directory.resolve("lib.so"), ChildJvm.libraryOfTheJar());
    assertEquals(
        "ASIAISSUED\nASIAISSUED\n",
        sts.jvm().with("-Dhops.native.path=" + library).run(Copies.class, ChildJvm.JAR, READER, WRITER));
  }

  @Test
  void whatTheCopiesShareShowsNoSecretToWhoeverListsTheProperties() throws Exception {
    assertEquals("ASIAISSUED\nAKIABASE: not shown\n", sts.jvm().run(Listing.class, READER));
  }

  /** Assumes one role after another, from two copies of the jar in turn. */
  public static final class Copies {
    public static void main(String[] arguments) throws Exception {
      URL[] jar = {new File(arguments[0]).toURI().toURL()};
      ClassLoader[] loaders = {new URLClassLoader(jar, null), new URLClassLoader(jar, null)};
      for (int i = 1; i < arguments.length; i++) {
        Object credentials =
            loaders[i % 2]
                .loadClass(CredentialsProvider.class.getName())
                .getMethod("assumeRole", String.class)
                .invoke(null, arguments[i]);
        System.out.println(
            credentials.getClass().getMethod("getAccessKeyId").invoke(credentials));
      }
    }
  }

  /** Assumes a role, then searches every system property. */
  public static final class Listing {
    public static void main(String[] roles) throws Exception {
      System.out.println(CredentialsProvider.assumeRole(roles[0]).getAccessKeyId());
      Properties properties = System.getProperties();
      boolean shown = properties.toString().contains("AKIABASE");
      System.out.println("AKIABASE: " + (shown ? "shown" : "not shown"));
      if (properties.toString().contains(Secrets.BASE_SECRET)) {
        System.out.println(properties);
      }
    }
  }
}
