package io.hops.util.spark;

import io.hops.util.internal.LiveSet;
import io.hops.util.internal.PythonDriver;
import io.hops.util.s3a.OpenFileSystems;
import java.io.IOException;
import java.util.Arrays;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.function.Function;

/** Makes the executor on which it runs match the roles in use, and returns its id. */
final class MatchTask implements Function<Integer, String> {
  private static final long serialVersionUID = 1L;

  private static final Logger LOG = Logger.getLogger("io.hops.util");

  private final boolean hasPython = PythonDriver.isHere();
  private final long generation;
  private final String[] buckets;

  MatchTask(LiveSet roles) {
    this.generation = roles.generation();
    this.buckets = roles.buckets().toArray(new String[0]);
  }

  @Override
  public String call(Integer task) throws IOException {
    try {
      OpenFileSystems.match(generation, Arrays.asList(buckets));
    } catch (LinkageError e) {
      LOG.log(Level.FINE, "S3A is not here, so no bucket is open", e);
    }
    if (hasPython) {
      Workers.follow(generation);
    }
    return SparkEnv.get().executorId();
  }
}
