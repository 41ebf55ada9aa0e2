package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class SettingTest {
  private static final String NAME = "hops.test.setting";

  @AfterEach
  void unset() {
    System.clearProperty(NAME);
  }

  @Test
  void whatIsReadBeforeTheCoreIsLoadedStandsInItsTableUnderTheSameNames() throws Exception {
    for (Setting here : new Setting[] {NativeLoader.PATH, NativeLoader.DIRECTORY}) {
      Setting there =
          Arrays.stream(Native.loaded().settings())
              .filter(setting -> here.property.equals(setting.property))
              .findFirst()
              .orElseThrow(() -> new AssertionError(here.property));
      assertEquals(here.spark, there.spark);
      assertArrayEquals(here.variables, there.variables);
    }
  }

  @Test
  void aPropertyWinsOverTheVariableAndABlankValueCountsAsUnset() {
    assertEquals(System.getenv("PATH"), new Setting(null, NAME, "PATH").find());
    System.setProperty(NAME, " ");
    assertEquals(System.getenv("PATH"), new Setting(null, NAME, "PATH").find());
    System.setProperty(NAME, "value");
    assertEquals("value", new Setting(null, NAME, "PATH").find());
    assertEquals(System.getenv("PATH"), new Setting(null, null, "HOPS_TEST_UNSET", "PATH").find());
    assertNull(new Setting("spark.hops.test", null).find());
  }

  @Test
  void theSettingsOfThisJvmShowNoSecret() throws Exception {
    System.setProperty("hopsworks.apikey", "canary-api-key-c0de");
    System.setProperty("hopsworks.projectname", "churn");
    try {
      String shown = JvmSettings.read().toString();
      assertTrue(shown.contains("hopsworks.projectname / HOPSWORKS_PROJECT_NAME: \"churn\""), shown);
      assertTrue(shown.contains("hopsworks.apikey / API_KEY: ***"), shown);
      assertFalse(shown.contains("canary"), shown);
    } finally {
      System.clearProperty("hopsworks.apikey");
      System.clearProperty("hopsworks.projectname");
    }
  }
}
