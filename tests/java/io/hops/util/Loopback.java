package io.hops.util;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** A server on loopback that gives the answers of a test, and records the requests. */
public final class Loopback implements AutoCloseable {
  final List<String> requests = Collections.synchronizedList(new ArrayList<>());
  final List<String> authorizations = Collections.synchronizedList(new ArrayList<>());
  public final List<String> renewals = Collections.synchronizedList(new ArrayList<>());
  private final Map<String, Answer> answers = new ConcurrentHashMap<>();
  private final HttpServer server;
  private final String scheme;

  Loopback() throws IOException {
    this(HttpServer.create(anyPort(), 0), "http");
  }

  Loopback(HttpServer server, String scheme) {
    this.server = server;
    this.scheme = scheme;
    server.createContext("/", this::answer);
    server.start();
  }

  static InetSocketAddress anyPort() {
    return new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
  }

  /** Sets the answer to a path, whatever the query. */
  public Loopback on(String path, int status, String body) {
    return on(path, status, "application/json", body.getBytes(StandardCharsets.UTF_8));
  }

  Loopback on(String path, int status, String type, byte[] body) {
    answers.put(path, new Answer(status, type, body));
    return this;
  }

  String url() {
    return scheme + "://127.0.0.1:" + server.getAddress().getPort();
  }

  private void answer(HttpExchange exchange) throws IOException {
    byte[] body = new byte[1 << 16];
    int length = Math.max(0, exchange.getRequestBody().read(body));
    String form = new String(body, 0, length, StandardCharsets.UTF_8);
    requests.add(exchange.getRequestMethod() + " " + exchange.getRequestURI() + (form.isEmpty() ? "" : " " + form));
    authorizations.add(exchange.getRequestHeaders().getFirst("Authorization"));
    renewals.add(exchange.getRequestHeaders().getFirst("Hops-Renews"));
    Answer answer =
        answers.getOrDefault(
            exchange.getRequestURI().getPath(),
            new Answer(404, "text/plain", "nothing here".getBytes(StandardCharsets.UTF_8)));
    exchange.getResponseHeaders().set("Content-Type", answer.type);
    exchange.sendResponseHeaders(answer.status, answer.body.length == 0 ? -1 : answer.body.length);
    exchange.getResponseBody().write(answer.body);
    exchange.close();
  }

  @Override
  public void close() {
    server.stop(0);
  }

  private static final class Answer {
    private final int status;
    private final String type;
    private final byte[] body;

    private Answer(int status, String type, byte[] body) {
      this.status = status;
      this.type = type;
      this.body = body;
    }
  }
}
