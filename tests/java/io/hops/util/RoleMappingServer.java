package io.hops.util;

import java.io.IOException;

/** The endpoints for members of project 7, as in the contract, and the settings that lead this JVM there. */
public final class RoleMappingServer implements AutoCloseable {
  static final String PROJECT = "/hopsworks-api/api/project/7/cloud/";
  public static final String TOKEN = PROJECT + "aws/session-token";
  static final String MAPPINGS = PROJECT + "role-mappings";
  public static final String READER = "arn:aws:iam::123456789012:role/reader";
  static final String WRITER = "arn:aws:iam::123456789012:role/teams/writer";

  public final Loopback http;

  public RoleMappingServer() throws IOException {
    http = new Loopback();
    String reader = mapping(1, "Data scientist", READER, true);
    String writer = mapping(2, "Data owner", WRITER, false);
    http.on(MAPPINGS, 200, "{\"count\":2,\"items\":[" + writer + "," + reader + "]}");
    http.on(MAPPINGS + "/default", 200, reader);
    http.on(MAPPINGS + "/1", 200, reader);
    http.on(MAPPINGS + "/2", 200, writer);
    http.on(TOKEN, 200, credentials("ASIAREADER", ",\"expiration\":\"2099-01-01T00:00:00Z\""));
    System.setProperty("hopsworks.restendpoint", http.url());
    System.setProperty("hopsworks.projectid", "7");
    System.setProperty("hopsworks.apikey", Secrets.API_KEY);
  }

  static String mapping(int id, String projectRole, String roleArn, boolean isDefault) {
    return String.format(
        "{\"id\":%d,\"projectId\":7,\"projectName\":\"churn\",\"projectRole\":\"%s\",\"cloudRole\":\"%s\",\"defaultRole\":%s}",
        id, projectRole, roleArn, isDefault);
  }

  static String credentials(String accessKeyId, String more) {
    return String.format(
        "{\"accessKeyId\":\"%s\",\"secretAccessKey\":\"%s\",\"sessionToken\":\"%s\"%s}",
        accessKeyId, Secrets.SECRET_ACCESS_KEY, Secrets.SESSION_TOKEN, more);
  }

  public static String error(int code, String message) {
    return "{\"errorCode\":" + code + ",\"errorMsg\":\"" + message + "\"}";
  }

  @Override
  public void close() {
    System.clearProperty("hopsworks.restendpoint");
    System.clearProperty("hopsworks.projectid");
    System.clearProperty("hopsworks.apikey");
    http.close();
  }
}
