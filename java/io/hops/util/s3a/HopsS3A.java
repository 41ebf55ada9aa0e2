package io.hops.util.s3a;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.DelegateToFileSystem;

/** {@link HopsS3AFileSystem} for users of FileContext, such as the checkpoints of a streaming query. */
public final class HopsS3A extends DelegateToFileSystem {
  /**
   * Called by FileContext when it opens a bucket.
   *
   * @param uri the bucket's
   * @param configuration see {@link HopsS3AFileSystem#initialize}
   * @throws IOException when the bucket cannot be opened
   * @throws URISyntaxException when it has no legal name
   */
  public HopsS3A(URI uri, Configuration configuration) throws IOException, URISyntaxException {
    super(uri, new HopsS3AFileSystem(), configuration, "s3a", false);
  }

  /** S3 has no ports; Hadoop's own S3A says so in the same way. */
  @Override
  public int getUriDefaultPort() {
    return -1;
  }
}
