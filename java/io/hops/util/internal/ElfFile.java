package io.hops.util.internal;

import java.io.EOFException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;

/**
 * Checks a shared library of Linux before it is loaded: the loader maps a truncated file without complaint, and the JVM dies
 * of SIGBUS when it touches the missing part.
 *
 * <p>Source: System V ABI, "ELF header" and "Program header", 64 bits, little-endian.
 */
final class ElfFile {
  private static final int HEADER = 64;
  private static final int MACHINE_X86_64 = 62;
  private static final int MACHINE_AARCH64 = 183;

  private ElfFile() {}

  /** Finds the reason why this process cannot load the file; null when there is none. */
  static String findProblem(Path path) {
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "r")) {
      ByteBuffer header = read(file, 0, HEADER);
      if (header.getInt(0) != 0x464c457f || header.get(4) != 2 || header.get(5) != 1) {
        return "it is not a 64-bit shared library of Linux";
      }
      int machine = header.getShort(18);
      if (machine != thisMachine()) {
        return "it is built for " + name(machine) + ", this JVM runs on " + name(thisMachine());
      }
      int size = header.getShort(54);
      int count = header.getShort(56);
      ByteBuffer segments = read(file, header.getLong(32), size * count);
      for (int at = 0; at < size * count; at += size) {
        if (segments.getLong(at + 8) + segments.getLong(at + 32) > file.length()) {
          return "it is truncated";
        }
      }
      return null;
    } catch (EOFException e) {
      return "it is truncated";
    } catch (IOException e) {
      return e.getMessage();
    }
  }

  private static ByteBuffer read(RandomAccessFile file, long offset, int length)
      throws IOException {
    byte[] bytes = new byte[length];
    file.seek(offset);
    file.readFully(bytes);
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static int thisMachine() {
    return System.getProperty("os.arch").equals("aarch64") ? MACHINE_AARCH64 : MACHINE_X86_64;
  }

  private static String name(int machine) {
    switch (machine) {
      case MACHINE_X86_64:
        return "x86_64";
      case MACHINE_AARCH64:
        return "aarch64";
      default:
        return "another processor (ELF machine " + machine + ")";
    }
  }
}
