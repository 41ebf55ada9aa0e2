import io.hops.util.CredentialsProvider;

public class Owner {
  public static void main(String[] arguments) throws Exception {
    CredentialsProvider.assumeRole(CredentialsProvider.getRole(1));
  }
}
