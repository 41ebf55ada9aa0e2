package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import java.lang.reflect.Method;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkContext$;
import org.apache.spark.SparkEnv;
import scala.Option;
import scala.Tuple2;

/**
 * The SparkContext in use in this JVM, and what kind of JVM this is.
 *
 * <p>Problem: {@code SparkContext.getOrCreate()} makes a context where there is none, and {@code getActive()} waits while
 * one is made. Solution: the reference behind them, which can only be looked at.
 */
final class ActiveContext {
  /** What a server for many users is started as, and what it is called. */
  private static final String[][] SHARED_SERVERS = {
    {"org.apache.spark.sql.hive.thriftserver.HiveThriftServer2", "Thrift server"},
    {"org.apache.spark.sql.connect.service.SparkConnectServer", "Connect server"}
  };

  private static final AtomicReference<SparkContext> ACTIVE = findReference();

  /** A context that is being made, which Spark does not yet call active. */
  private static volatile SparkContext starting;

  private ActiveContext() {}

  /** The context in use. Asked at each request to S3, so it must wait for nobody. */
  static SparkContext get() {
    SparkContext made = ACTIVE == null ? activeAfterWaiting() : ACTIVE.get();
    SparkContext context = made == null ? starting : made;
    return context == null || context.isStopped() || context.applicationId() == null ? null : context;
  }

  /** Takes a context as active while it is made; null when that is over. */
  static void setStarting(SparkContext context) {
    starting = context;
  }

  /** The entries of the active SparkConf by full name; none without an active context. */
  static Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>();
    SparkContext context = get();
    if (context != null) {
      for (Tuple2<String, String> entry : context.getConf().getAll()) {
        settings.put(entry._1(), entry._2());
      }
    }
    return settings;
  }

  /**
   * Whether this JVM is an executor and not the driver.
   *
   * @return true on an executor
   */
  static boolean isExecutor() {
    SparkEnv environment = SparkEnv.get();
    return environment != null && !"driver".equals(environment.executorId());
  }

  /**
   * Refuses to go on where one user's code would choose the role of all.
   *
   * @throws CloudCredentialException in a Thrift or Connect server
   */
  static void refuseSharedServer() throws CloudCredentialException {
    SparkContext context = get();
    String plugins = context == null ? "" : context.getConf().get("spark.plugins", "");
    // What the JVM was started with: spark-submit has the class of the server among its arguments.
    String command = System.getProperty("sun.java.command", "");
    for (String[] server : SHARED_SERVERS) {
      if (command.contains(server[0]) || plugins.contains("SparkConnectPlugin") && server[0].contains("Connect")) {
        throw new CloudCredentialException(
            "this is a Spark "
                + server[1]
                + ", whose users would all get the role; its operator sets spark.hops.role and"
                + " spark.plugins=io.hops.util.spark.HopsSparkPlugin in its configuration");
      }
    }
  }

  /** Waits while a context is made. */
  private static SparkContext activeAfterWaiting() {
    Option<SparkContext> active = SparkContext$.MODULE$.getActive();
    return active.isDefined() ? active.get() : null;
  }

  /** Where {@code getActive()} looks, private in Scala; null when this Spark keeps the context elsewhere. */
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
