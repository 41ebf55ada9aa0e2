package io.hops.util.spark;

import java.lang.reflect.Field;
import java.util.IdentityHashMap;
import java.util.Map;
import org.apache.spark.SparkEnv;
import scala.Function0;
import scala.collection.Iterator;
import scala.collection.mutable.HashMap;

/**
 * Spark's own map of the factories of Python workers in this JVM. Leads each factory to the roles in use before it gives a task a
 * worker.
 *
 * <p>Problem: Spark calls nothing of ours between the moment in which it reads the function of a task and the start of its worker.
 * Solution: it looks into this map, under the lock of SparkEnv, under which it also starts workers and takes them back. The name
 * of the field and what is done with it are the same from Spark 3.3 to 4.3.
 */
final class WorkerFactories extends HashMap<Object, Object> {
  private static final long serialVersionUID = 1L;

  private final transient Map<Object, PythonFactory> known = new IdentityHashMap<>();

  private WorkerFactories() {}

  /**
   * Takes the place of the map in this JVM, unless that has happened: by another copy of this jar, maybe.
   *
   * @throws ReflectiveOperationException when this version of Spark has no such map
   */
  static void install() throws ReflectiveOperationException {
    SparkEnv environment = SparkEnv.get();
    Field field = PythonFactory.field(SparkEnv.class, "pythonWorkers");
    synchronized (environment) {
      @SuppressWarnings("unchecked")
      HashMap<Object, Object> before = (HashMap<Object, Object>) field.get(environment);
      if (!before.getClass().getName().equals(WorkerFactories.class.getName())) {
        WorkerFactories factories = new WorkerFactories();
        for (Iterator<Object> keys = before.keysIterator(); keys.hasNext(); ) {
          Object key = keys.next();
          factories.put(key, before.apply(key));
        }
        field.set(environment, factories);
      }
    }
  }

  @Override
  public Object getOrElseUpdate(Object key, Function0<Object> make) {
    Object factory = super.getOrElseUpdate(key, make);
    Workers.lead(known.computeIfAbsent(factory, PythonFactory::new));
    return factory;
  }
}
