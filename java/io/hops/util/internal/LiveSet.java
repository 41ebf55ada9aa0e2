package io.hops.util.internal;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Every role in use at one moment, with a generation and a version. Immutable.
 *
 * <p>{@code assumeRole} and {@code release} raise the generation, so that a job can say which one it was planned under. A
 * refresh raises only the version, so that a receiver can tell the newer of two sets. A set travels to executors as bytes.
 */
public final class LiveSet {
  /** The most bytes in which a set may travel. */
  static final int MAX_BYTES = 1 << 20;

  /** What ends an access key id, see {@link #findOwnKeys}. */
  public static final String BEHIND_KEY = " ";

  /** In the place of the keys of a bucket that is read with the role again. */
  public static final String NO_KEYS = "";

  private static final int MAGIC = 0x484f5053;
  private static final int FORMAT = 3;

  private final long generation;
  private final long version;
  private final Map<String, LiveRole> roles;

  /** Null while they are not known. */
  private final Set<String> earlierProviders;

  /** See {@link #endpointVariables}. */
  private final List<String> endpointVariables;

  /** See {@link #findOwnKeys}. */
  private final Map<String, String> ownKeys;

  private LiveSet(
      long generation,
      long version,
      Map<String, LiveRole> roles,
      Set<String> earlierProviders,
      List<String> endpointVariables,
      Map<String, String> ownKeys) {
    this.generation = generation;
    this.version = version;
    this.roles = roles;
    this.earlierProviders = earlierProviders;
    this.endpointVariables = endpointVariables;
    this.ownKeys = ownKeys;
  }

  /** Returns the set before the first role. */
  static LiveSet empty() {
    return new LiveSet(0, 0, Collections.emptyMap(), null, Collections.emptyList(), Collections.emptyMap());
  }

  /** Returns the next generation, with these roles added; a later role for the same bucket replaces the earlier one. */
  LiveSet assume(Collection<LiveRole> added) {
    Map<String, LiveRole> all = new TreeMap<>(roles);
    for (LiveRole role : added) {
      all.put(role.bucket, role);
    }
    return new LiveSet(generation + 1, version + 1, all, earlierProviders, endpointVariables, ownKeys);
  }

  /** Returns the next generation, without a role. */
  LiveSet release() {
    return new LiveSet(generation + 1, version + 1, Collections.emptyMap(), null, Collections.emptyList(), Collections.emptyMap());
  }

  /** Returns the next generation, with the roles of an earlier set: what follows an {@code assumeRole} that failed. */
  LiveSet rollBackTo(LiveSet earlier) {
    return new LiveSet(generation + 1, version + 1, earlier.roles, earlierProviders, endpointVariables, ownKeys);
  }

  /** Returns the same generation, in which one role has newer credentials, or the reason why there are none. */
  LiveSet refresh(LiveRole role) {
    Map<String, LiveRole> all = new TreeMap<>(roles);
    all.put(role.bucket, role);
    return new LiveSet(generation, version + 1, all, earlierProviders, endpointVariables, ownKeys);
  }

  /** Returns the same roles, which take the place of these providers of S3A too. */
  LiveSet withEarlierProviders(Set<String> providers) {
    Set<String> all = new TreeSet<>(providers);
    if (earlierProviders != null) {
      all.addAll(earlierProviders);
    }
    return new LiveSet(generation, version, roles, all, endpointVariables, ownKeys);
  }

  /** Returns the same roles, to which these variables lead Python workers on an executor. */
  LiveSet withEndpointVariables(List<String> variables) {
    return new LiveSet(generation, version, roles, earlierProviders, variables, ownKeys);
  }

  /** Returns the same roles beside what one bucket is read with now, see {@link #findOwnKeys}. */
  LiveSet withOwnKeys(String bucket, String keys) {
    Map<String, String> all = new TreeMap<>(ownKeys);
    all.put(bucket, keys);
    return withOwnKeys(all);
  }

  /** Returns the same roles beside what these buckets are read with now, and no other. */
  LiveSet withOnlyOwnKeys(Map<String, String> keys) {
    Map<String, String> all = new TreeMap<>(ownKeys);
    all.replaceAll((bucket, earlier) -> NO_KEYS);
    all.putAll(keys);
    return all.equals(ownKeys) ? this : withOwnKeys(all);
  }

  private LiveSet withOwnKeys(Map<String, String> all) {
    return new LiveSet(generation, version + 1, roles, earlierProviders, endpointVariables, all);
  }

  /**
   * Tells whether some bucket has keys of its own with this access key id.
   *
   * @param accessKeyId the access key id
   * @return false when nothing is known of such a bucket
   */
  public boolean hasOwnKeys(String accessKeyId) {
    return ownKeys.values().stream().anyMatch(keys -> keys.startsWith(accessKeyId + BEHIND_KEY));
  }

  /**
   * Finds with what the application reads a bucket instead of its role.
   *
   * @param bucket the bucket
   * @return the access key id of keys of its own, {@link #BEHIND_KEY} and what tells them from later ones; {@link #BEHIND_KEY} and the
   *     name of a provider of its own; {@link #NO_KEYS} when it has neither any longer; null when it has a role of its own, or nothing is
   *     known
   */
  public String findOwnKeys(String bucket) {
    return roles.containsKey(bucket) ? null : ownKeys.get(bucket);
  }

  /**
   * Lists how the environment of Python workers on an executor has to change so that they ask an endpoint for the role of the
   * application, see {@link Native#endpointVariables}.
   *
   * @return name, change, name, change, …; nothing where the application has no role, or they are to stay as they are
   */
  public List<String> endpointVariables() {
    return findOwn(LiveRole.APPLICATION) == null ? Collections.emptyList() : endpointVariables;
  }

  /**
   * Returns true if the configuration of the application named this provider before its roles. A configuration that still does is
   * a copy from then, and not another choice.
   *
   * @param provider the name of a class, or a list, as it stands in a configuration
   * @return true if the roles in use have replaced it, or nobody knows yet
   */
  public boolean isEarlierProvider(String provider) {
    return earlierProviders == null || earlierProviders.contains(provider.trim());
  }

  /**
   * Returns the generation, which each {@code assumeRole} and {@code release} raises.
   *
   * @return the number that jobs carry
   */
  public long generation() {
    return generation;
  }

  /**
   * Returns the version, which each change raises.
   *
   * @return the number that tells the newer of two sets
   */
  public long version() {
    return version;
  }

  Collection<LiveRole> roles() {
    return roles.values();
  }

  /**
   * Lists the buckets that a role was assumed for.
   *
   * @return their names, {@link LiveRole#APPLICATION} among them
   */
  public Set<String> buckets() {
    return roles.keySet();
  }

  /**
   * Finds the role that was assumed for exactly this bucket.
   *
   * @param bucket the bucket, or {@link LiveRole#APPLICATION}
   * @return the role, or null
   */
  public LiveRole findOwn(String bucket) {
    return roles.get(bucket);
  }

  /**
   * Finds the role that a bucket reads with.
   *
   * @param bucket the bucket
   * @return its own, else the application's, else null
   */
  public LiveRole find(String bucket) {
    LiveRole own = roles.get(bucket);
    return own != null ? own : roles.get(LiveRole.APPLICATION);
  }

  /**
   * Returns what a reader of a bucket gets, in the form that the bridge into S3A's class loader takes: access key id, secret
   * access key and session token; or else whether a later call may succeed, and the reason.
   *
   * @param bucket the bucket
   * @param nowMillis this instant, in milliseconds since 1970
   * @return three texts, or a boolean and a text
   */
  public Object[] answer(String bucket, long nowMillis) {
    LiveRole role = find(bucket);
    if (role == null) {
      boolean wasInUse = generation > 0;
      return new Object[] {
        false,
        "no role is in use for " + describe(bucket) + (wasInUse ? " (role released); call assumeRole again" : "; call assumeRole")
      };
    }
    if (nowMillis < role.expirationMillis) {
      return new Object[] {
        role.accessKeyId, role.secretAccessKey, role.sessionToken
      };
    }
    String cause =
        role.lastError.isEmpty()
            ? "no newer ones have arrived; see the driver's log for the reason"
            : role.lastError;
    return new Object[] {
      !role.errorIsFinal,
      "the credentials of "
          + role.roleArn
          + " for "
          + describe(bucket)
          + " ended at "
          + Instant.ofEpochMilli(role.expirationMillis)
          + ": "
          + cause
    };
  }

  /**
   * Names a bucket as messages do.
   *
   * @param bucket the bucket, or {@link LiveRole#APPLICATION}
   * @return the bucket, or the application
   */
  public static String describe(String bucket) {
    return bucket.isEmpty() ? "the application" : "bucket " + bucket;
  }

  /** Converts the set to the form in which executors receive it. */
  byte[] toBytes() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    try {
      out.writeInt(MAGIC);
      out.writeByte(FORMAT);
      out.writeLong(generation);
      out.writeLong(version);
      out.writeInt(roles.size());
      for (LiveRole role : roles.values()) {
        write(out, role.bucket);
        write(out, role.roleArn);
        write(out, role.accessKeyId);
        write(out, role.secretAccessKey);
        write(out, role.sessionToken);
        out.writeLong(role.expirationMillis);
        write(out, role.lastError);
        out.writeBoolean(role.errorIsFinal);
      }
      write(out, earlierProviders);
      write(out, endpointVariables);
      out.writeInt(ownKeys.size());
      for (Map.Entry<String, String> keys : ownKeys.entrySet()) {
        write(out, keys.getKey());
        write(out, keys.getValue());
      }
    } catch (IOException e) {
      throw new IllegalStateException("writing to memory cannot fail", e);
    }
    if (bytes.size() > MAX_BYTES) {
      throw new IllegalStateException(
          roles.size() + " roles take " + bytes.size() + " bytes; release some buckets first");
    }
    return bytes.toByteArray();
  }

  /**
   * Converts back from what {@link #toBytes} returned.
   *
   * @param bytes a set as it travels
   * @return the set
   * @throws IOException when the bytes are not a whole set in a form that this jar knows
   */
  public static LiveSet fromBytes(byte[] bytes) throws IOException {
    DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes));
    if (bytes.length > MAX_BYTES || in.readInt() != MAGIC || in.readUnsignedByte() != FORMAT) {
      throw new IOException(
          "the credentials on this executor are in a form that this jar does not know; use one version of"
              + " hops-credentials on driver and executors");
    }
    long generation = in.readLong();
    long version = in.readLong();
    int count = in.readInt();
    Map<String, LiveRole> roles = new TreeMap<>();
    for (int i = 0; i < count; i++) {
      LiveRole role = new LiveRole(read(in), read(in), read(in), read(in), read(in), in.readLong());
      String lastError = read(in);
      role = role.withError(lastError, in.readBoolean());
      roles.put(role.bucket, role);
    }
    List<String> earlierProviders = readList(in);
    List<String> endpointVariables = readList(in);
    Map<String, String> ownKeys = new TreeMap<>();
    for (int left = in.readInt(); left > 0; left--) {
      ownKeys.put(read(in), read(in));
    }
    return new LiveSet(
        generation,
        version,
        roles,
        earlierProviders == null ? null : new TreeSet<>(earlierProviders),
        endpointVariables,
        ownKeys);
  }

  /** Writes a list, or that there is none. */
  private static void write(DataOutputStream out, Collection<String> texts) throws IOException {
    out.writeInt(texts == null ? -1 : texts.size());
    for (String text : texts == null ? Collections.<String>emptyList() : texts) {
      write(out, text);
    }
  }

  private static List<String> readList(DataInputStream in) throws IOException {
    int size = in.readInt();
    if (size < 0) {
      return null;
    }
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      texts.add(read(in));
    }
    return texts;
  }

  private static void write(DataOutputStream out, String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    out.writeInt(bytes.length);
    out.write(bytes);
  }

  private static String read(DataInputStream in) throws IOException {
    int length = in.readInt();
    if (length < 0 || length > in.available()) {
      throw new IOException("the credentials on this executor are cut short");
    }
    byte[] bytes = new byte[length];
    in.readFully(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }

  /** Shows generation, version and roles; never a secret. */
  @Override
  public String toString() {
    return "LiveSet{generation=" + generation + ", version=" + version + ", " + roles.values() + "}";
  }
}
