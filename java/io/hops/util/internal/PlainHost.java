package io.hops.util.internal;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** A JVM without Spark. Roles are written to the environment and nowhere else. */
class PlainHost implements Host {
  @Override
  public boolean isExecutor() {
    return false;
  }

  @Override
  public void refuseSharedServer() {}

  @Override
  public boolean isSharedServer() {
    return false;
  }

  @Override
  public void refuseEnvironment() {}

  @Override
  public List<Effect> effects() {
    return Collections.emptyList();
  }

  @Override
  public Effect findPending() {
    return null;
  }

  @Override
  public LiveSet readPushed() {
    return null;
  }

  @Override
  public Supplier<Object[]> findPushed(String bucket) {
    return null;
  }

  @Override
  public Map<String, String> settings() {
    return Collections.emptyMap();
  }

  @Override
  public String mode() {
    return "none (there is no Spark here)";
  }

  @Override
  public boolean readsScheme(String scheme) {
    return scheme.equals("s3a");
  }

  @Override
  public String findForeignProvider(String bucket) {
    return null;
  }

  @Override
  public String explainRefusal(String bucket) {
    return null;
  }

  @Override
  public String findOwnKeys(String bucket, LiveSet roles) {
    return null;
  }

  @Override
  public boolean areOfOneBucket(String accessKeyId) {
    return false;
  }

  @Override
  public void push() {}

  @Override
  public List<String> explainCatalogs(String scheme) {
    return Collections.emptyList();
  }

  @Override
  public void examine(Findings findings) {}
}
