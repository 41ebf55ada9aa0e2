package org.apache.spark.scheduler

import org.apache.spark.SparkContext
import org.apache.spark.scheduler.local.LocalSchedulerBackend

/** The cluster manager of master `spark-channelless`. It runs tasks, and cannot send secrets to executors. */
class NoChannel extends ExternalClusterManager {
  override def canCreate(masterURL: String): Boolean = masterURL == "spark-channelless"
  override def createTaskScheduler(sc: SparkContext, masterURL: String): TaskScheduler = new TaskSchedulerImpl(sc, 1, true)
  override def createSchedulerBackend(sc: SparkContext, masterURL: String, scheduler: TaskScheduler): SchedulerBackend =
    new LocalSchedulerBackend(sc.getConf, scheduler.asInstanceOf[TaskSchedulerImpl], 1)
  override def initialize(scheduler: TaskScheduler, backend: SchedulerBackend): Unit =
    scheduler.asInstanceOf[TaskSchedulerImpl].initialize(backend)
}
