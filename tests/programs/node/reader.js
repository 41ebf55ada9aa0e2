// reader.js ENDPOINT BUCKET...: reads `test.csv` of each bucket with the credentials that a child process inherits, and prints a line.
// The region comes from the environment or a profile.
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";

const [endpoint, ...buckets] = process.argv.slice(2);
const s3 = new S3Client({ endpoint, forcePathStyle: true });
for (const bucket of buckets) {
  try {
    const object = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: "test.csv" }));
    console.log(bucket, (await object.Body.transformToString()).split(/\s/)[0]);
  } catch (refused) {
    console.log(bucket, refused.name);
  }
}
