package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkContext$;
import org.apache.spark.SparkEnv;
import scala.Option;
import scala.Tuple2;

/**
 * Finds the SparkContext in use in this JVM, and tells what kind of JVM this is.
 *
 * <p>Problem: {@code SparkContext.getOrCreate()} makes a context when there is none, and {@code getActive()} waits while one is
 * being made. Solution: read the reference behind both, which neither makes nor waits.
 */
final class ActiveContext {
  private static final String THRIFT_PACKAGE = "org.apache.spark.sql.hive.thriftserver.";

  private static final String THRIFT_SERVER = "Thrift server";

  private static final String CONNECT_SERVER = "Connect server";

  /**
   * The share levels of a Kyuubi engine that several users reach.
   *
   * <p>Source: Apache Kyuubi, "The Share Level of Kyuubi Engines"; it is {@code USER} where nothing is set.
   */
  private static final List<String> SHARED_BY_USERS = Arrays.asList("GROUP", "SERVER", "SERVER_LOCAL");

  private static final AtomicReference<SparkContext> ACTIVE = findReference();

  /** A context that is being made, which Spark does not call active yet. */
  private static volatile SparkContext starting;

  private ActiveContext() {}

  /** Finds the context in use, or null. Callers ask at each request to S3, so this never waits. */
  static SparkContext get() {
    SparkContext context = usedOrStarting();
    return context == null || context.applicationId() == null ? null : context;
  }

  /** Finds the context in use, or one that is being made and that has no scheduler yet; null for none. */
  private static SparkContext usedOrStarting() {
    SparkContext made = ACTIVE == null ? activeAfterWaiting() : ACTIVE.get();
    SparkContext context = made == null ? starting : made;
    return context == null || context.isStopped() ? null : context;
  }

  /** Counts a context as active while it is being made; null ends that. */
  static void setStarting(SparkContext context) {
    starting = context;
  }

  /** Lists the entries of the SparkConf in use by full name; none without a context. */
  static Map<String, String> settings() {
    SparkContext context = usedOrStarting();
    return context == null ? new LinkedHashMap<>() : list(context.getConf());
  }

  /** Lists the entries of a SparkConf by full name. */
  static Map<String, String> list(SparkConf conf) {
    Map<String, String> entries = new LinkedHashMap<>();
    for (Tuple2<String, String> entry : conf.getAll()) {
      entries.put(entry._1(), entry._2());
    }
    return entries;
  }

  /**
   * Returns true if this JVM is an executor and not the driver.
   *
   * @return true on an executor
   */
  static boolean isExecutor() {
    SparkEnv environment = SparkEnv.get();
    return environment != null && !"driver".equals(environment.executorId());
  }

  /**
   * Refuses to go on where the code of one user would choose the role of all users.
   *
   * @throws CloudCredentialException in a Thrift or Connect server
   */
  static void refuseSharedServer() throws CloudCredentialException {
    String server = findSharedServer();
    if (server != null) {
      throw new CloudCredentialException(
          "this is a Spark "
              + server
              + ", whose users would all get the role; its operator sets spark.hops.role and"
              + " spark.plugins=io.hops.util.spark.HopsSparkPlugin in its configuration");
    }
  }

  /** Names the server for many users that this JVM is; null when it is none. */
  static String findSharedServer() {
    // The command line of the JVM: spark-submit has the class of the server among its arguments.
    String command = System.getProperty("sun.java.command", "");
    if (command.contains(THRIFT_PACKAGE + "HiveThriftServer2")) {
      return THRIFT_SERVER;
    }
    if (command.contains("org.apache.spark.sql.connect.service.SparkConnectServer")) {
      return CONNECT_SERVER;
    }
    SparkContext context = usedOrStarting();
    if (context == null) {
      return null;
    }
    SparkConf conf = context.getConf();
    if (conf.get("spark.plugins", "").contains("SparkConnectPlugin")) {
      return CONNECT_SERVER;
    }
    String shareLevel = conf.get("spark.kyuubi.engine.share.level", "USER").toUpperCase(Locale.ROOT);
    if (command.contains("org.apache.kyuubi.engine.spark.SparkSQLEngine") && SHARED_BY_USERS.contains(shareLevel)) {
      return "engine of Kyuubi for several users";
    }
    // A program may start the server in its own context.
    for (Object listener : context.listenerBus().listeners()) {
      if (listener.getClass().getName().startsWith(THRIFT_PACKAGE)) {
        return THRIFT_SERVER;
      }
    }
    return null;
  }

  /** Finds the active context; waits while one is being made. */
  private static SparkContext activeAfterWaiting() {
    Option<SparkContext> active = SparkContext$.MODULE$.getActive();
    return active.isDefined() ? active.get() : null;
  }

  /** Finds the reference that {@code getActive()} reads, which is private in Scala; null when this Spark keeps it elsewhere. */
  @SuppressWarnings("unchecked")
  private static AtomicReference<SparkContext> findReference() {
    try {
      Method getter = SparkContext$.class.getMethod("org$apache$spark$SparkContext$$activeContext");
      return (AtomicReference<SparkContext>) getter.invoke(SparkContext$.MODULE$);
    } catch (ReflectiveOperationException e) {
      return null;
    }
  }
}
