package io.hops.util.spark;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.OwnThread;
import io.hops.util.s3a.PushedCredentials;
import java.io.IOException;
import java.io.UnsupportedEncodingException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * A container-credentials endpoint on loopback: gives the programs that an executor starts the credentials that the driver pushed to
 * it last. Calls nobody, so it answers at once. Readers prove themselves by a random token.
 *
 * <p>Source: AWS SDKs reference guide, "Container credential provider".
 */
final class CredentialsEndpoint {
  private static final String PATH = "/credentials";
  private static final String ROLE = "role=";
  private static final int MOST_REQUESTS_AT_ONCE = 64;
  private static final int TOKEN_BYTES = 32;
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final FileAttribute<?> OWN = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

  private final String token = newToken();
  private final HttpServer server;
  private final Path tokenFile;

  private CredentialsEndpoint() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), 0), 0);
    server.createContext("/", this::answer);
    server.setExecutor(
        new ThreadPoolExecutor(
            0,
            MOST_REQUESTS_AT_ONCE,
            1,
            TimeUnit.SECONDS,
            new SynchronousQueue<>(),
            CredentialsEndpoint::newThread));
    tokenFile = createTokenFile();
    keepTokenFile();
  }

  /** Listens on a port that the system chooses, for as long as this JVM lives. */
  static CredentialsEndpoint start() throws IOException {
    CompletableFuture<CredentialsEndpoint> started = new CompletableFuture<>();
    // The server's own threads are made by this one, and keep no JVM from ending, as it does not.
    OwnThread.start(
        "hops-credentials endpoint",
        () -> {
          try {
            CredentialsEndpoint endpoint = new CredentialsEndpoint();
            endpoint.server.start();
            started.complete(endpoint);
          } catch (IOException | RuntimeException | Error e) {
            started.completeExceptionally(e);
          }
        });
    // The task that comes first may be interrupted, and the endpoint is that of all tasks.
    boolean isInterrupted = false;
    try {
      while (true) {
        try {
          return started.get();
        } catch (InterruptedException e) {
          isInterrupted = true;
        } catch (ExecutionException e) {
          throw new IOException("the endpoint for credentials cannot be started: " + e.getCause(), e.getCause());
        }
      }
    } finally {
      if (isInterrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  String url() {
    return "http://127.0.0.1:" + server.getAddress().getPort() + PATH;
  }

  /** Returns what a request must carry as its {@code Authorization}. Useless on other machines, and secret on this one. */
  String token() {
    return token;
  }

  /** Returns the file that holds the token, for readers that take it from nowhere else. Only the user of this JVM can read it. */
  Path tokenFile() {
    return tokenFile;
  }

  /** Writes that file again where somebody has removed it: temporary directories are cleaned. */
  void keepTokenFile() throws IOException {
    if (!Files.exists(tokenFile)) {
      Files.createFile(tokenFile, OWN);
    }
    if (Files.size(tokenFile) == 0) {
      Files.write(tokenFile, bytes(token));
    }
  }

  private void answer(HttpExchange exchange) throws IOException {
    try {
      Map<String, Object> body = new LinkedHashMap<>();
      int status = fill(body, exchange);
      byte[] bytes = JSON.writeValueAsBytes(body);
      exchange.getResponseHeaders().set("Content-Type", "application/json");
      exchange.getResponseHeaders().set("Cache-Control", "no-store");
      exchange.sendResponseHeaders(status, bytes.length);
      exchange.getResponseBody().write(bytes);
    } finally {
      exchange.close();
    }
  }

  /** Fills in the body of an answer, and returns its status. Readers print the body of a refusal, so it holds no secret. */
  private int fill(Map<String, Object> body, HttpExchange request) {
    if (!request.getRequestURI().getPath().equals(PATH)) {
      return refuse(body, 404, "NotFound", "there is nothing here");
    }
    if (!request.getRequestMethod().equals("GET")) {
      return refuse(body, 405, "MethodNotAllowed", "only GET is answered");
    }
    String given = request.getRequestHeaders().getFirst("Authorization");
    if (given == null || !MessageDigest.isEqual(bytes(given), bytes(token))) {
      return refuse(body, 401, "Unauthorized", "the Authorization of the request is not the token of this endpoint");
    }
    LiveSet set;
    try {
      set = PushedCredentials.readSet();
    } catch (IOException e) {
      return refuse(body, 503, "NoCredentials", e.getMessage());
    }
    if (set == null) {
      return refuse(body, 503, "NoCredentials", "no credentials have reached this executor; call assumeRole on the driver");
    }
    String role = namedRole(request.getRequestURI());
    String bucket = role == null ? LiveRole.APPLICATION : findBucket(set, role);
    if (bucket == null) {
      return refuse(body, 404, "NoSuchRole", "the application has not assumed " + role + "; call assumeRole on the driver, or forBucket");
    }
    Object[] answer = set.answer(bucket, System.currentTimeMillis());
    if (answer.length != 3) {
      return refuse(body, 503, "NoCredentials", (String) answer[1]);
    }
    body.put("AccessKeyId", answer[0]);
    body.put("SecretAccessKey", answer[1]);
    body.put("Token", answer[2]);
    Instant end = set.findOwn(bucket).credentials().getExpiration();
    body.put("Expiration", end.truncatedTo(ChronoUnit.SECONDS).toString());
    body.put("RoleArn", set.findOwn(bucket).roleArn());
    return 200;
  }

  /** Finds the role that a request names; null for that of the application. */
  private static String namedRole(URI uri) {
    String query = uri.getRawQuery();
    try {
      return query == null || !query.startsWith(ROLE) ? null : URLDecoder.decode(query.substring(ROLE.length()), "UTF-8");
    } catch (UnsupportedEncodingException e) {
      throw new IllegalStateException("every JVM has UTF-8", e);
    }
  }

  /** Finds a bucket that is read with a role, or the application; null when the role is not in use. */
  private static String findBucket(LiveSet set, String role) {
    return set.buckets().stream().filter(bucket -> set.findOwn(bucket).roleArn().equals(role)).findFirst().orElse(null);
  }

  private static int refuse(Map<String, Object> body, int status, String code, String message) {
    body.put("code", code);
    body.put("message", message);
    return status;
  }

  /** Called by a thread of the server, which is a daemon and inherits nothing from a task. */
  private static Thread newThread(Runnable work) {
    return new Thread(work, "hops-credentials endpoint");
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static String newToken() {
    byte[] random = new byte[TOKEN_BYTES];
    new SecureRandom().nextBytes(random);
    StringBuilder digits = new StringBuilder();
    for (byte value : random) {
      digits.append(String.format("%02x", value));
    }
    return digits.toString();
  }

  private static Path createTokenFile() throws IOException {
    Path file = Files.createTempFile("hops-credentials-", ".token", OWN);
    file.toFile().deleteOnExit();
    return file;
  }

  /** Shows no token. */
  @Override
  public String toString() {
    return "CredentialsEndpoint{url=" + url() + "}";
  }
}
