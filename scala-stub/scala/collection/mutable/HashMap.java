package scala.collection.mutable;

import scala.Function0;
import scala.Function1;
import scala.Option;
import scala.Tuple2;
import scala.collection.Iterator;

/**
 * What we use of Scala's class of this name, as Scala 2.12 and 2.13 have it. It is compiled against and is not in the jar: javac
 * compiles no subclass of the real one, whose generic types it cannot read.
 *
 * @param <K> the keys
 * @param <V> the values
 */
public class HashMap<K, V> {
  /** See Scala. */
  public HashMap() {}

  /** See Scala. */
  public V getOrElseUpdate(K key, Function0<V> make) {
    throw new IllegalStateException();
  }

  /** See Scala. */
  public V apply(K key) {
    throw new IllegalStateException();
  }

  /** See Scala. */
  public boolean contains(K key) {
    throw new IllegalStateException();
  }

  /** See Scala. */
  public <U> void foreach(Function1<Tuple2<K, V>, U> function) {
    throw new IllegalStateException();
  }

  /** See Scala. */
  public Option<V> put(K key, V value) {
    throw new IllegalStateException();
  }

  /** See Scala. */
  public Iterator<K> keysIterator() {
    throw new IllegalStateException();
  }
}
