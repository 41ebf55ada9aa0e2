package io.hops.util;

import java.util.Arrays;

/** A user's program: does what its arguments say, and prints results and causes. */
public final class Program {
  private Program() {}

  public static void main(String[] arguments) {
    for (String argument : arguments) {
      try {
        System.out.println(answer(argument));
      } catch (Exception e) {
        System.out.println(e);
        for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
          System.out.println("  caused by " + cause.getClass().getName());
        }
      }
    }
  }

  private static Object answer(String argument) throws Exception {
    switch (argument) {
      case "roles":
        return Arrays.toString(CredentialsProvider.getRoles());
      case "mappings":
        return CredentialsProvider.getRoleMappings();
      case "environment":
        return System.getenv("AWS_ACCESS_KEY_ID");
      case "default":
        return CredentialsProvider.assumeRole();
      default:
        return CredentialsProvider.assumeRole(argument);
    }
  }
}
