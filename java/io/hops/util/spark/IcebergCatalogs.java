package io.hops.util.spark;

import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.WeakHashMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;

/**
 * Makes the Iceberg catalogs of the application sign with its role.
 *
 * <p>Problem: Iceberg's S3FileIO signs with the AWS SDK and not with S3A, and on an executor it finds the credentials of the
 * machine. Solution: name our provider in the confs of each catalog for which nobody has chosen credentials: in those of the
 * context, of the sessions that the caller sees, and of all that are made later. Spark reads the confs of a catalog at its first
 * use, so those that are used already cannot be told; they are reported.
 */
final class IcebergCatalogs {
  private static final Logger LOG = Logger.getLogger("io.hops.util");

  /** The catalogs that were in use when their confs changed: true for those that had been told by then. Guarded by itself. */
  private static final Map<Object, Boolean> USED = new WeakHashMap<>();

  /** Sessions that were told one by one, also those that nobody sees any longer. Guarded by itself. */
  private static final Set<Object> TOLD = Collections.newSetFromMap(new WeakHashMap<>());

  private static final Set<String> WARNED = ConcurrentHashMap.newKeySet();

  private final SparkContext context;

  IcebergCatalogs(SparkContext context) {
    this.context = context;
  }

  /** Tells the catalogs that the confs name now, and warns of those that cannot be told. */
  void tell(LiveSet roles) {
    if (roles.buckets().isEmpty()) {
      return;
    }
    try {
      Set<String> problems =
          Sessions.ask(
              () -> {
                tell(context.conf(), roles);
                for (Sessions.Session session : Sessions.list()) {
                  tell(session, roles);
                }
                return listProblems();
              });
      problems.stream().filter(WARNED::add).forEach(LOG::warning);
    } catch (Sessions.NotAskedException e) {
      LOG.warning("Iceberg catalogs may sign without the role: " + e.getMessage() + "; call assumeRole again before their first use");
    }
  }

  private static void tell(SparkConf confs, LiveSet roles) {
    for (IcebergCatalog catalog : IcebergCatalog.list(ActiveContext.list(confs))) {
      if (isToBeTold(catalog, roles)) {
        Sessions.write(() -> confsOf(catalog).forEach(confs::set));
      }
    }
  }

  private static void tell(Sessions.Session session, LiveSet roles) throws ReflectiveOperationException {
    for (IcebergCatalog catalog : IcebergCatalog.list(session.all())) {
      if (isToBeTold(catalog, roles)) {
        tell(session.shared(), roles);
        remember(session.change(catalog.name, confsOf(catalog)), false);
        synchronized (TOLD) {
          TOLD.add(session.identity());
        }
      }
    }
  }

  private static boolean isToBeTold(IcebergCatalog catalog, LiveSet roles) {
    return follows(catalog, roles) && !catalog.isTold() && explainUntold(catalog, roles) == null;
  }

  /** Returns true if the catalog is to sign with a role in use. */
  private static boolean follows(IcebergCatalog catalog, LiveSet roles) {
    return roles != null && roles.find(catalog.bucket()) != null && catalog.findChoice() == null;
  }

  private static Map<String, String> confsOf(IcebergCatalog catalog) {
    Map<String, String> confs = new LinkedHashMap<>();
    confs.put(catalog.key(IcebergCatalog.PROVIDER), IcebergCatalog.OURS);
    if (!catalog.bucket().equals(LiveRole.APPLICATION)) {
      confs.put(catalog.key(IcebergCatalog.WAREHOUSE_BUCKET), catalog.bucket());
    }
    return confs;
  }

  private static void remember(Object used, boolean isTold) {
    if (used != null) {
      synchronized (USED) {
        USED.putIfAbsent(used, isTold);
      }
    }
  }

  /**
   * Takes back what {@link #tell} wrote. Catalogs that are in use refuse from then on, and so do all in sessions that were made
   * meanwhile, which nobody lists.
   */
  void takeBack() {
    takeBack(context.conf());
    try {
      Sessions.ask(
          () -> {
            Set<Sessions.Session> sessions = new LinkedHashSet<>(Sessions.list());
            synchronized (TOLD) {
              TOLD.forEach(session -> sessions.add(new Sessions.Session(session)));
            }
            for (Sessions.Session session : sessions) {
              takeBack(session);
            }
            return null;
          });
    } catch (Sessions.NotAskedException e) {
      LOG.warning(
          "Iceberg catalogs may go on asking for a role, and refuse to read: " + e.getMessage() + "; assume a role and release it again");
    }
  }

  private static void takeBack(SparkConf confs) {
    for (IcebergCatalog catalog : IcebergCatalog.list(ActiveContext.list(confs))) {
      if (catalog.isTold()) {
        confsOf(catalog).keySet().forEach(confs::remove);
      }
    }
  }

  private static void takeBack(Sessions.Session session) throws ReflectiveOperationException {
    for (IcebergCatalog catalog : IcebergCatalog.list(session.all())) {
      if (catalog.isTold()) {
        takeBack(session.shared());
        Map<String, String> confs = confsOf(catalog);
        confs.replaceAll((key, value) -> null);
        remember(session.change(catalog.name, confs), true);
      }
    }
  }

  /** Says with what each catalog reads a bucket that has clients of its own, one line each. */
  static List<String> explain() {
    try {
      return Sessions.ask(
          () -> {
            Set<String> lines = new LinkedHashSet<>();
            for (Sessions.Session session : Sessions.list()) {
              for (IcebergCatalog catalog : IcebergCatalog.list(session.all())) {
                lines.add("Iceberg catalog " + catalog.name + " " + explain(session, catalog));
              }
            }
            return new ArrayList<>(lines);
          });
    } catch (Sessions.NotAskedException e) {
      return Collections.singletonList("the catalogs of Iceberg are not checked: " + e.getMessage());
    }
  }

  private static String explain(Sessions.Session session, IcebergCatalog catalog) throws ReflectiveOperationException {
    LiveSet roles = LiveStore.findCurrent();
    String problem = findProblem(session, catalog, roles);
    if (problem != null) {
      return problem;
    }
    if (catalog.findChoice() != null) {
      return "reads its tables there as " + catalog.findChoice() + " of the user says";
    }
    if (!follows(catalog, roles)) {
      return "reads its tables there without a role of ours; call assumeRole";
    }
    if (!catalog.isTold()) {
      return explainUntold(catalog, roles);
    }
    return "reads its tables there with "
        + (catalog.isRest() ? "what its server vends, else with " : "")
        + roles.find(catalog.bucket()).roleArn();
  }

  /**
   * Lists the catalogs of the sessions that this thread sees which do not follow the roles in use, one sentence each.
   *
   * @throws ReflectiveOperationException when this Spark is built otherwise
   */
  static Set<String> listProblems() throws ReflectiveOperationException {
    Set<String> problems = new LinkedHashSet<>();
    LiveSet roles = LiveStore.findCurrent();
    for (Sessions.Session session : Sessions.list()) {
      for (IcebergCatalog catalog : IcebergCatalog.list(session.all())) {
        String problem = findProblem(session, catalog, roles);
        if (problem != null) {
          problems.add("Iceberg catalog " + catalog.name + " " + problem);
        }
      }
    }
    return problems;
  }

  /** Says why a catalog does not sign with its role; null when it does, or is not to. */
  private static String findProblem(Sessions.Session session, IcebergCatalog catalog, LiveSet roles)
      throws ReflectiveOperationException {
    if (!follows(catalog, roles) || !isSdkHere()) {
      return null;
    }
    if (!catalog.isTold()) {
      String untold = explainUntold(catalog, roles);
      return untold == null
          ? "does not know of the role in this session, and signs with what the AWS SDK finds; call assumeRole again, and use the"
              + " catalog in spark.newSession()"
          : untold;
    }
    Object used = session.usedCatalogs().get(catalog.name);
    synchronized (USED) {
      return used == null || USED.getOrDefault(used, true)
          ? null
          : "was in use before the role, and goes on with the credentials that it found then; use it in spark.newSession(), or"
              + " call assumeRole before its first use";
    }
  }

  /** Says why a catalog cannot be told; null when it can. */
  private static String explainUntold(IcebergCatalog catalog, LiveSet roles) {
    if (!isSdkHere()) {
      return "finds no AWS SDK";
    }
    String provider = catalog.key(IcebergCatalog.PROVIDER);
    String missing = explainMissing(IcebergCatalog.OURS);
    if (missing != null) {
      return "does not find our provider ("
          + missing
          + "); put hops-credentials beside the AWS SDK that Iceberg uses, with --jars for both";
    }
    IcebergVersion version = IcebergVersion.find();
    if (!version.takesProviders()) {
      return "signs with what the AWS SDK finds: Iceberg " + version + " takes no provider; use Iceberg 1.3 or later, or HadoopFileIO";
    }
    if (catalog.isRest() && !version.handsOverVended()) {
      return "is not told: its server may vend credentials, which a provider hides before Iceberg 1.11; where it vends none, set "
          + provider
          + " to io.hops.util.aws.CredentialsProviderV2";
    }
    if (catalog.isOnAws() && roles.findOwn(LiveRole.APPLICATION) == null) {
      return "is not told: it is asked with the credentials of its files, and the application has no role; to take that of bucket "
          + catalog.bucket()
          + " for both, set "
          + provider
          + " to io.hops.util.aws.CredentialsProviderV2 and "
          + provider
          + ".bucket to "
          + catalog.bucket();
    }
    return null;
  }

  private static boolean isSdkHere() {
    return explainMissing("software.amazon.awssdk.auth.credentials.AwsCredentialsProvider") == null;
  }

  /** Says why Iceberg would not find a class, with all that it extends, where Iceberg looks for it; null when it would. */
  private static String explainMissing(String type) {
    try {
      Class.forName(type, false, Thread.currentThread().getContextClassLoader());
      return null;
    } catch (ClassNotFoundException | LinkageError e) {
      LOG.log(Level.FINE, type + " is not here", e);
      return e.toString();
    }
  }
}
