package org.apache.spark

import java.io.IOException
import java.util.concurrent.atomic.AtomicInteger
import org.apache.spark.rpc.{RpcAddress, RpcEndpointRef, RpcTimeout}
import org.apache.spark.scheduler.{ExecutorDecommissionInfo, TaskSchedulerImpl}
import org.apache.spark.scheduler.cluster.CoarseGrainedClusterMessages.{LaunchedExecutor, LaunchTask, RegisterExecutor, UpdateDelegationTokens}
import org.apache.spark.scheduler.cluster.CoarseGrainedSchedulerBackend
import org.apache.spark.util.SystemClock
import scala.concurrent.Future
import scala.reflect.ClassTag

/** What a scheduler does with its executors, without the cause for it. */
class Executors(context: SparkContext) {
  import Executors.field

  private val backend = context.schedulerBackend.asInstanceOf[CoarseGrainedSchedulerBackend]

  def ids(): Set[String] = backend.getExecutorIds().toSet

  /** Lists those that get no task because some have failed there. */
  def excluded(): Set[String] = context.statusStore.executorList(true).filter(_.isExcluded).map(_.id).toSet

  /** Takes an executor out of service as soon as its tasks have ended. */
  def decommission(id: String): Unit =
    backend.decommissionExecutors(Array((id, ExecutorDecommissionInfo("its machine goes"))), adjustTargetNumExecutors = false, triggeredByExecutor = false)

  /** Lets the time pass after which those that are excluded get tasks again. */
  def forgive(): Unit = {
    val tracker = field(classOf[TaskSchedulerImpl], "healthTrackerOpt").get(context.taskScheduler).asInstanceOf[Option[AnyRef]].get
    val later = new SystemClock {
      override def getTimeMillis(): Long = super.getTimeMillis() + 7200000
    }
    field(tracker.getClass, "clock").set(tracker, later)
  }
}

/** What is private to Spark. */
object Executors {
  def field(type_ : Class[_], name: String): java.lang.reflect.Field = {
    val found = type_.getDeclaredFields.find(each => each.getName == name || each.getName.endsWith("$" + name)).get
    found.setAccessible(true)
    found
  }
}

/** Counts what a driver sends to executors. */
class Messages(context: SparkContext) {
  protected val backend = context.schedulerBackend.asInstanceOf[CoarseGrainedSchedulerBackend]
  val pushes = new AtomicInteger
  val pushesUnderMonitor = new AtomicInteger
  val tasks = new AtomicInteger

  protected def count(message: Any): Unit = message match {
    case _: UpdateDelegationTokens =>
      pushes.incrementAndGet()
      if (Thread.holdsLock(backend)) pushesUnderMonitor.incrementAndGet()
    case _: LaunchTask => tasks.incrementAndGet()
    case _ =>
  }
}

/** Executors in their own JVMs. They get all that is counted. */
class WatchedExecutors(context: SparkContext) extends Messages(context) {
  /** Counts from now on what the executors get that are registered. */
  def watch(): Unit = {
    val registered = Executors.field(classOf[CoarseGrainedSchedulerBackend], "executorDataMap").get(backend)
      .asInstanceOf[scala.collection.mutable.Map[String, AnyRef]]
    backend.synchronized(registered.values.toSeq).foreach { executor =>
      val endpoint = Executors.field(executor.getClass, "executorEndpoint")
      endpoint.get(executor) match {
        case _: Watched =>
        case unwatched: RpcEndpointRef => endpoint.set(executor, new Watched(unwatched))
      }
    }
  }

  private class Watched(executor: RpcEndpointRef) extends RpcEndpointRef(context.conf) {
    override def address: RpcAddress = executor.address
    override def name: String = executor.name
    override def send(message: Any): Unit = {
      count(message)
      executor.send(message)
    }
    override def ask[T: ClassTag](message: Any, timeout: RpcTimeout): Future[T] = executor.ask(message, timeout)
  }
}

/** Executors of which the driver knows, and which do nothing but count what it sends them. */
class CountingExecutors(context: SparkContext, number: Int) extends Messages(context) {
  private val ids = (1001 to 1000 + number).map(_.toString)

  /** Registers them, as their JVMs do. They get no task yet. */
  def register(): Unit = ids.zipWithIndex.foreach { case (id, number) =>
    backend.driverEndpoint.askSync[Boolean](RegisterExecutor(id, new Counting(id, number + 1), "localhost", 1, Map.empty, Map.empty, Map.empty, 0))
  }

  /** Tells the driver that they have started. */
  def start(): Unit = ids.foreach(id => backend.driverEndpoint.send(LaunchedExecutor(id)))

  private class Counting(id: String, port: Int) extends RpcEndpointRef(context.conf) {
    override def address: RpcAddress = RpcAddress("localhost", port)
    override def name: String = id
    override def send(message: Any): Unit = count(message)
    override def ask[T: ClassTag](message: Any, timeout: RpcTimeout): Future[T] = Future.failed(new IOException("does nothing"))
  }
}
