package io.hops.util.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.hops.util.internal.Applied;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What others write into a place beside us is theirs, and comes back. */
class SavedKeysTest {
  private static final List<String> NAMES = Arrays.asList("access.key", "secret.key", "session.token");

  private final Map<String, String> place = new HashMap<>();
  private final SavedKeys keys = new SavedKeys("place:", place::get, this::put);

  private void put(String name, String value) {
    if (value == null) {
      place.remove(name);
    } else {
      place.put(name, value);
    }
  }

  private static Map<String, String> all(String owner) {
    Map<String, String> all = new LinkedHashMap<>();
    NAMES.forEach(name -> all.put(name, owner + "'s " + name));
    return all;
  }

  private Applied write(Applied applied, String owner) {
    return keys.write(applied, all(owner), place::get);
  }

  @Test
  void whatStoodThereBeforeTheFirstWriteComesBackAfterTheSecond() {
    place.put("access.key", "before");
    Applied applied = write(write(Applied.NOTHING, "first"), "second");
    keys.release(applied);
    assertEquals(Collections.singletonMap("access.key", "before"), place);
  }

  @Test
  void whatSomebodyWroteBetweenTwoWritesComesBack() {
    Applied first = write(Applied.NOTHING, "first");
    place.put("access.key", "theirs");
    place.put("secret.key", "their secret");
    Applied second = write(first, "second");
    assertEquals(all("second"), place);
    keys.release(second);
    Map<String, String> theirs = new HashMap<>();
    theirs.put("access.key", "theirs");
    theirs.put("secret.key", "their secret");
    assertEquals(theirs, place);
  }

  @Test
  void keysThatAreOursAreOverwrittenTogether() {
    Applied applied = keys.overwrite(write(Applied.NOTHING, "first"), all("newer"));
    assertEquals(all("newer"), place);
    keys.release(applied);
    assertEquals(Collections.emptyMap(), place);
  }

  @Test
  void oursAreTakenOutAndNotRenewedBesideThoseOfSomebodyElse() {
    place.put("session.token", "before");
    Applied applied = write(Applied.NOTHING, "first");
    place.put("access.key", "theirs");
    place.put("secret.key", "their secret");
    Applied renewed = keys.overwrite(applied, all("newer"));
    assertEquals("theirs", place.get("access.key"));
    assertEquals("before", place.get("session.token"));
    keys.release(keys.overwrite(renewed, all("newest")));
    assertEquals("their secret", place.get("secret.key"));
    assertEquals("before", place.get("session.token"));
  }

  @Test
  void aPlaceWithoutOurKeysGetsNoneByARenewal() {
    keys.overwrite(Applied.NOTHING, all("newer"));
    assertEquals(Collections.emptyMap(), place);
  }
}
