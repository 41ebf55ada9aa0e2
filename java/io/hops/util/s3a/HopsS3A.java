package io.hops.util.s3a;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.DelegateToFileSystem;

/**
 * Gives {@link HopsS3AFileSystem} to users of FileContext, such as the checkpoints of a streaming query. FileContext closes
 * nothing: the file system closes itself when nobody holds this.
 */
public final class HopsS3A extends DelegateToFileSystem {
  /**
   * Opens a bucket. FileContext calls this.
   *
   * @param uri the URI of the bucket
   * @param configuration see {@link HopsS3AFileSystem#initialize}
   * @throws IOException when the bucket cannot be opened
   * @throws URISyntaxException when the URI is not legal
   */
  public HopsS3A(URI uri, Configuration configuration) throws IOException, URISyntaxException {
    super(uri, new HopsS3AFileSystem(), configuration, uri.getScheme(), false);
  }

  /** Returns -1 as Hadoop's own S3A does: S3 has no ports. */
  @Override
  public int getUriDefaultPort() {
    return -1;
  }
}
