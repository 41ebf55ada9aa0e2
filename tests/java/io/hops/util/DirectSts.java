package io.hops.util;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** An STS on loopback that gives everybody the same credentials, and JVMs that ask it directly. */
public final class DirectSts implements AutoCloseable {
  public static final String READER = RoleMappingServer.READER;

  final Loopback http = new Loopback().on("/", 200, "text/xml", answer().getBytes(StandardCharsets.UTF_8));

  public DirectSts() throws IOException {}

  private static String answer() {
    return "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>"
        + "<AccessKeyId>ASIAISSUED</AccessKeyId><SecretAccessKey>"
        + Secrets.SECRET_ACCESS_KEY
        + "</SecretAccessKey><SessionToken>"
        + Secrets.SESSION_TOKEN
        + "</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>"
        + "</AssumeRoleResponse>";
  }

  /** Returns a JVM with a base identity. */
  public ChildJvm jvm() {
    return new ChildJvm()
        .environment("AWS_ENDPOINT_URL_STS", http.url())
        .environment("AWS_REGION", "eu-north-1")
        .environment("AWS_ACCESS_KEY_ID", "AKIABASE")
        .environment("AWS_SECRET_ACCESS_KEY", Secrets.BASE_SECRET);
  }

  /** Lists the names of the sessions that were asked for. */
  public List<String> sessionNames() {
    Pattern name = Pattern.compile("RoleSessionName=([^&]*)");
    return http.requests.stream()
        .map(name::matcher)
        .filter(Matcher::find)
        .map(found -> found.group(1))
        .collect(Collectors.toList());
  }

  @Override
  public void close() {
    http.close();
  }
}
