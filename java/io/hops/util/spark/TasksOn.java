package io.hops.util.spark;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.rdd.RDD;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.scheduler.cluster.ExecutorData;
import scala.Tuple2;
import scala.collection.immutable.List;
import scala.collection.immutable.List$;
import scala.reflect.ClassTag;
import scala.reflect.ClassTag$;

/** One task for each of some executors, which prefers it. Spark gives it to another one that has room after some seconds. */
final class TasksOn {
  private static final ClassTag<Integer> INTEGER = ClassTag$.MODULE$.apply(Integer.class);

  private TasksOn() {}

  /**
   * Makes the tasks.
   *
   * @param context the context
   * @param executors the executors by id
   * @param profile the id of their resource profile, whose tasks alone they take
   * @return one element for each
   */
  @SuppressWarnings("unchecked")
  static JavaRDD<Integer> executors(SparkContext context, Map<String, ExecutorData> executors, int profile) {
    List<Tuple2<Integer, List<String>>> tasks = List$.MODULE$.empty();
    int number = 0;
    for (Map.Entry<String, ExecutorData> executor : executors.entrySet()) {
      // The form in which Spark names the place of a task: the tag, the host and the id.
      String place = "executor_" + executor.getValue().executorHost() + "_" + executor.getKey();
      List<String> places = List$.MODULE$.<String>empty().$colon$colon(place);
      tasks = tasks.$colon$colon(new Tuple2<>(number++, places));
    }
    RDD<Integer> rdd;
    try {
      rdd = (RDD<Integer>) findMakeRdd().invoke(context, tasks, INTEGER);
    } catch (IllegalAccessException | InvocationTargetException e) {
      throw new IllegalStateException("this Spark makes no tasks that prefer an executor", e);
    }
    if (profile != ResourceProfile.DEFAULT_RESOURCE_PROFILE_ID()) {
      rdd = rdd.withResources(context.resourceProfileManager().resourceProfileFromId(profile));
    }
    return JavaRDD.fromRDD(rdd, INTEGER);
  }

  /** Finds the form that takes places: the Seq of Scala 2.12 and that of 2.13 are two types, and a List is either. */
  private static Method findMakeRdd() {
    for (Method method : SparkContext.class.getMethods()) {
      if (method.getName().equals("makeRDD") && method.getParameterCount() == 2) {
        return method;
      }
    }
    throw new IllegalStateException("this Spark makes no tasks that prefer an executor");
  }
}
