package io.hops.util;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** Every reader of an environment variable, in this process or a child of it, sees the same value. */
class EnvironmentTest {
  private static final String[] SHELL = {
    "/bin/sh",
    "-c",
    "echo $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_SESSION_TOKEN $HOPS_CREDENTIALS_ISSUED"
  };

  private static String output(Process process) throws IOException {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    try (InputStream in = process.getInputStream()) {
      for (int read = in.read(); read >= 0; read = in.read()) {
        text.write(read);
      }
    }
    return text.toString().trim();
  }

  private static String values(java.util.function.Function<String, String> read) {
    return read.apply("AWS_ACCESS_KEY_ID")
        + " "
        + read.apply("AWS_SECRET_ACCESS_KEY")
        + " "
        + read.apply("AWS_SESSION_TOKEN")
        + " "
        + read.apply("HOPS_CREDENTIALS_ISSUED");
  }

  /** The mark names the earlier key too: whoever starts between two writes must know either. */
  private static void checkEveryReaderSees(String accessKeyId, String mark) throws IOException {
    String expected = String.join(" ", accessKeyId, Secrets.SECRET_ACCESS_KEY, Secrets.SESSION_TOKEN, mark);
    assertEquals(expected, values(System::getenv));
    assertEquals(expected, values(System.getenv()::get));
    // A child inherits the C library's environment ...
    assertEquals(expected, output(new ProcessBuilder(SHELL).start()));
    assertEquals(expected, output(Runtime.getRuntime().exec(SHELL)));
    // ... unless the parent touches the child's own: then the child gets Java's.
    ProcessBuilder touched = new ProcessBuilder(SHELL);
    touched.environment().put("OTHER", "1");
    assertEquals(expected, output(touched.start()));
  }

  @Test
  void everyReaderSeesTheCredentialsAndThoseThatReplaceThem() throws Exception {
    try (RoleMappingServer server = new RoleMappingServer()) {
      CredentialsProvider.release();
      String earlier = "";
      for (String accessKeyId : new String[] {"ASIAFIRST", "ASIASECOND"}) {
        server.http.on(RoleMappingServer.TOKEN, 200, RoleMappingServer.credentials(accessKeyId, ""));
        CredentialsProvider.assumeRole();
        checkEveryReaderSees(accessKeyId, earlier + accessKeyId);
        earlier = accessKeyId + ",";
      }
    }
  }

  @Test
  void nothingButTheThreeVariablesTheirEndAndTheirMarkAppears() throws Exception {
    try (RoleMappingServer server = new RoleMappingServer()) {
      String printed =
          new ChildJvm()
              .environment("REST_ENDPOINT", server.http.url())
              .environment("HOPSWORKS_PROJECT_ID", "7")
              .environment("API_KEY", Secrets.API_KEY)
              .run(Names.class);
      assertEquals(
          "[AWS_ACCESS_KEY_ID, AWS_CREDENTIAL_EXPIRATION, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, HOPS_CREDENTIALS_ISSUED]\n",
          printed);
    }
  }

  /** Prints the names that assumeRole adds to the environment. */
  public static final class Names {
    public static void main(String[] arguments) throws Exception {
      TreeSet<String> before = new TreeSet<>(System.getenv().keySet());
      CredentialsProvider.assumeRole();
      TreeSet<String> after = new TreeSet<>(System.getenv().keySet());
      after.removeAll(before);
      System.out.println(after);
    }
  }

  @Test
  void readersOnOtherThreadsFindTheirVariablesWhileCredentialsAreReplaced() throws Exception {
    try (RoleMappingServer server = new RoleMappingServer()) {
      CredentialsProvider.assumeRole();
      List<Throwable> failures = Collections.synchronizedList(new ArrayList<>());
      Thread reader =
          new Thread(
              () -> {
                try {
                  while (!Thread.currentThread().isInterrupted()) {
                    assertEquals(System.getenv("PATH"), new ProcessBuilder().environment().get("PATH"));
                    assertEquals(Secrets.SESSION_TOKEN, System.getenv("AWS_SESSION_TOKEN"));
                  }
                } catch (Throwable e) {
                  failures.add(e);
                }
              });
      reader.start();
      for (int i = 0; i < 200; i++) {
        CredentialsProvider.assumeRole();
      }
      reader.interrupt();
      reader.join();
      assertEquals(Arrays.asList(), failures);
      // Each call looks the default role up, and then assumes it by its name.
      assertEquals(2 * 201, server.http.requests.size());
    }
  }
}
