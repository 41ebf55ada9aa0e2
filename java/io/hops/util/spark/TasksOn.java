package io.hops.util.spark;

import java.io.Serializable;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.spark.FutureAction;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.rdd.RDD;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.scheduler.cluster.ExecutorData;
import scala.Function0;
import scala.Function1;
import scala.Function2;
import scala.Tuple2;
import scala.collection.Iterator;
import scala.collection.immutable.List;
import scala.collection.immutable.List$;
import scala.concurrent.ExecutionContext;
import scala.concurrent.ExecutionContext$;
import scala.reflect.ClassTag;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;
import scala.util.Try;

/** One task for each of some executors, which prefers it. Spark gives it to another one that has room after some seconds. */
final class TasksOn {
  private static final ClassTag<Integer> INTEGER = ClassTag$.MODULE$.apply(Integer.class);
  private static final ExecutionContext HERE = ExecutionContext$.MODULE$.fromExecutor(Runnable::run);

  private final SparkContext context;
  private final JavaRDD<Integer> tasks;
  private final List<Object> numbers;

  private TasksOn(SparkContext context, JavaRDD<Integer> tasks, List<Object> numbers) {
    this.context = context;
    this.tasks = tasks;
    this.numbers = numbers;
  }

  /**
   * Makes the tasks.
   *
   * @param context the context
   * @param executors the executors by id, all of one resource profile, whose tasks alone they take
   * @return one task for each
   */
  @SuppressWarnings("unchecked")
  static TasksOn executors(SparkContext context, Map<String, ExecutorData> executors) {
    List<Tuple2<Integer, List<String>>> places = List$.MODULE$.empty();
    List<Object> numbers = List$.MODULE$.empty();
    int profile = ResourceProfile.DEFAULT_RESOURCE_PROFILE_ID();
    int number = 0;
    for (Map.Entry<String, ExecutorData> executor : executors.entrySet()) {
      // The form in which Spark names the place of a task: the tag, the host and the id.
      String place = "executor_" + executor.getValue().executorHost() + "_" + executor.getKey();
      places = places.$colon$colon(new Tuple2<>(number, List$.MODULE$.<String>empty().$colon$colon(place)));
      numbers = numbers.$colon$colon(number++);
      profile = executor.getValue().resourceProfileId();
    }
    RDD<Integer> rdd = (RDD<Integer>) call(context, "makeRDD", places, INTEGER);
    if (profile != ResourceProfile.DEFAULT_RESOURCE_PROFILE_ID()) {
      rdd = rdd.withResources(context.resourceProfileManager().resourceProfileFromId(profile));
    }
    return new TasksOn(context, JavaRDD.fromRDD(rdd, INTEGER), numbers);
  }

  /**
   * Runs them in one job, and does not wait for it. Threads of Spark call both functions.
   *
   * @param work what each task does
   * @param onAnswer gets each answer as soon as it is there
   * @param onEnd gets null at the end of the job, or why it failed
   */
  void run(Function<Integer, String> work, Consumer<String> onAnswer, Consumer<Throwable> onEnd) {
    Function2<Object, String, BoxedUnit> handler =
        (number, answer) -> {
          onAnswer.accept(answer);
          return BoxedUnit.UNIT;
        };
    Function0<BoxedUnit> result = () -> BoxedUnit.UNIT;
    Function1<Try<BoxedUnit>, BoxedUnit> end =
        outcome -> {
          onEnd.accept(outcome.isFailure() ? outcome.failed().get() : null);
          return BoxedUnit.UNIT;
        };
    @SuppressWarnings("unchecked")
    FutureAction<BoxedUnit> job =
        (FutureAction<BoxedUnit>) call(context, "submitJob", tasks.map(work).rdd(), new First(), numbers, handler, result);
    job.onComplete(end, HERE);
  }

  /** Calls a method that takes a Seq: that of Scala 2.12 and that of 2.13 are two types, and a List is either. */
  private static Object call(SparkContext context, String name, Object... arguments) {
    try {
      for (Method method : SparkContext.class.getMethods()) {
        if (method.getName().equals(name) && method.getParameterCount() == arguments.length) {
          return method.invoke(context, arguments);
        }
      }
    } catch (IllegalAccessException | InvocationTargetException e) {
      throw new IllegalStateException("this Spark makes no tasks that prefer an executor", e);
    }
    throw new IllegalStateException("this Spark makes no tasks that prefer an executor");
  }

  /** The answer of a task, which has one element. */
  private static final class First extends AbstractFunction1<Iterator<String>, String> implements Serializable {
    private static final long serialVersionUID = 1L;

    @Override
    public String apply(Iterator<String> answers) {
      return answers.next();
    }
  }
}
