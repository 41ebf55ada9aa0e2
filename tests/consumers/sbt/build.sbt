ThisBuild / scalaVersion := "2.12.18"

lazy val consumer = (project in file("."))
  .settings(
    crossScalaVersions := Seq("2.12.18", "2.13.16"),
    resolvers += "published" at sys.props("repo"),
    libraryDependencies += "io.hops" % "hops-credentials" % sys.props("product")
  )
