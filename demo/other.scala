spark.read.csv("s3a://other/test.csv").show()
