# Two commands: `make demo` and `make test`. Each installs what it lacks into build/ and target/. Outside of these only package caches grow,
# and Debian's packages come in where the machine lacks a program. build/log/ holds what package managers and compilers print.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: demo demo-parts test program matrix soak bench-server upgrade readers everywhere lakehouse test-tensorflow parts lines tables jar wheel sdist command-line server release committed publish

export JAVA_HOME := $(shell python3 -m rig.jdk 17)
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
PYTHON := build/venv/bin/python
PIP := -m pip -q --no-cache-dir --disable-pip-version-check
JAR := build/libs/hops-credentials-$(VERSION).jar
# What users get is made for each of these machines, whatever the machine that makes it.
MACHINES := x86_64 aarch64
# The server that administrators get, which `make bench-server` and `make upgrade` run, and what they put beside it.
STATIC := $(shell uname -m)-unknown-linux-musl
SERVER := target/$(STATIC)/release/role-mapping-server
PEER := target/$(STATIC)/release/examples/peer
# Gradle without a daemon, which would outlive the command; with a limit, since Gradle 4 waits for ever if a JVM of its own does not start.
GRADLE := timeout 2400 gradle --no-daemon --console=plain -q
MAVEN := mvn -q -B -Dstyle.color=never
DEPENDENCY := org.apache.maven.plugins:maven-dependency-plugin:3.8.1
# Groups that Spark brings in its own versions.
SPARK_GROUPS := io.netty,org.slf4j,com.fasterxml.jackson.core,org.apache.httpcomponents,commons-logging,commons-codec,joda-time
JAR_SOURCES := Cargo.toml Cargo.lock LICENSE rust-toolchain.toml crates/core/Cargo.toml build.gradle settings.gradle rig/portably $(shell find src crates/core/src java s3a-bridge scala-stub -type f)
SERVER_SOURCES := Cargo.toml Cargo.lock rust-toolchain.toml $(shell find crates/core server -type f -not -path '*/tests/*' -not -name '*.cdx.json')

# Builds the jar and the server that users get, but without optimisation, in a third of the time.
demo:
	@$(MAKE) --no-print-directory -j4 demo-parts
	@RIG_BUILD=dev $(PYTHON) -m demo

demo-parts: build/venv/ok build/spark/3.5.8/ok build/dev/ok

build/dev/ok: $(JAR_SOURCES) $(SERVER_SOURCES) | build/gradle
	@rig/quietly cargo-dev "compiling library and server" cargo build --locked -p hops-credentials -p role-mapping-server
	@rig/quietly gradle-dev "building the jar" $(GRADLE) -Pdev jar
	@touch $@

# Runs all checks. `make test ONLY=NAME` runs the stage NAME, or the tests whose names contain NAME.
test: build/venv/tools
	@$(PYTHON) -m runs.suite $(if $(ONLY),--only '$(ONLY)')

# Runs one of tests/programs/scala on Spark, as a member of a running deployment: `make program NAME=Resource [ARGS=…]`.
program: build/venv/ok build/spark/3.5.8/ok $(JAR) build/rust-tests/ok
	@$(PYTHON) -m runs.program $(NAME) $(ARGS)

# Puts the server under load, and checks its promises: `make bench-server [ARGS=--audit-rows=10000000]`.
bench-server: build/venv/ok build/wrk build/postgresql $(SERVER) $(PEER)
	@$(PYTHON) -m runs.bench_server $(ARGS)

# Replaces servers of the previous commit by this one on a database in use, and back: `make upgrade [ARGS='--from COMMIT']`.
upgrade: build/venv/ok build/postgresql $(SERVER) $(PEER)
	@$(PYTHON) -m runs.upgrade $(ARGS)

# Runs every layout of the jars on every line of Spark, and prints which class loader holds what. Then runs the tests of the product on the
# lines and masters on which `make test` does not.
matrix: parts lines
	@$(PYTHON) -m runs.matrix
	@$(PYTHON) -m pytest -q -n2 --dist=worksteal -m matrix

# Runs a job through more than twenty lifetimes on the three lines of Spark of `make test`, with trouble all the way. Takes about
# fifteen minutes.
soak: parts
	@$(PYTHON) -m runs.soak

# Runs the training program of demo/ on the versions of TensorFlow that read s3://. Fetches a gigabyte.
test-tensorflow: build/tensorflow-venv/ok build/rust-tests/ok
	@$(PYTHON) -m pytest -q -m everywhere tests/product/test_tensorflow.py

# Runs every reader of S3 we know through five lifetimes of its credentials, and prints a table. Fetches two gigabytes.
readers: build/readers-venv/ok build/tensorflow-venv/ok build/rust-tests/ok
	@$(PYTHON) -m runs.readers

# Runs the tests of every place in which the product works, and writes README's table: `make everywhere [ONLY=EXPRESSION]`.
everywhere: parts lines tables $(if $(ONLY),wheel sdist command-line server,release) build/readers-venv/ok build/tensorflow-venv/ok build/yarn/ok build/root/sid/ok build/root/debian-13/ok build/root/debian-11/ok build/root/arm64/ok
	@$(PYTHON) -m runs.everywhere $(if $(ONLY),--only '$(ONLY)')

# Runs those of tables, and of readers in tasks.
lakehouse: parts lines tables build/readers-venv/ok
	@$(PYTHON) -m runs.everywhere --only lakehouse

# What users add to Spark for tables, and `make test` does not run.
tables: $(patsubst %,build/tables/%/ok,iceberg-4.1.4 iceberg-1.10-3.5.8 delta-4.1.4 hudi-3.5.8 cloud-3.5.8 cloud-4.1.4 comet-3.5.8 comet-4.1.4 services-4.1.4)

# The lines of Spark on which `make test` does not run.
lines: $(patsubst %,build/spark/%/classes.jsa,3.3.4 3.4.4 3.5.9 4.0.5 4.2.1)

# Everything that the tests of the built product use.
parts: build/venv/tools $(patsubst %,build/spark/%/classes.jsa,3.5.8 4.1.4 4.3.0) build/sbt-launch.jar build/postgresql build/chromium build/proxies build/fish build/helm/ok jar publish build/python-venv/ok build/tables/iceberg-3.5.8/ok build/tables/delta-3.5.8/ok build/node/ok build/rust-tests/ok

jar: $(JAR)

$(JAR): $(JAR_SOURCES) requirements.txt | build/gradle build/venv/tools build/rust-targets
	@rig/quietly gradle "building the jar, optimised" $(GRADLE) jar
	@touch $@

# Builds the wheels that users get: optimised, and with the jar in them.
wheel: $(JAR) build/venv/tools build/rust-targets
	@$(foreach machine,$(MACHINES),rig/quietly wheel-$(machine) "building the wheel for $(machine), optimised" \
	  "$(call compile,build/wheel/$(machine),rig/portably,--release --zig --compatibility manylinux2014 --target $(machine)-unknown-linux-gnu); \
	  $(call pack,build/wheel/$(machine))";)
	@ls $(MACHINES:%=build/wheel/%/*.whl)

# Packs the sources of the wheel, for machines that no wheel is for.
sdist: build/venv/tools
	@rm -f build/wheel/*.tar.gz
	@rig/quietly sdist "packing the sources of the wheel" $(PYTHON) -m maturin sdist -o build/wheel
	@ls build/wheel/*.tar.gz

# Builds the program `hops-credentials`, which the wheel brings too, optimised, and linked to nothing of the machine that it runs on.
command-line: build/venv/tools build/rust-targets
	@rig/quietly static-command-line "compiling the command line, static, optimised" $(call static,hops-credentials-cli) $(EACH_STATIC)
	@ls target/*-unknown-linux-musl/release/hops-credentials

# Builds the server in the same way.
server: build/venv/tools build/rust-targets
	@rig/quietly static-server "compiling the server, static, optimised" $(call static,role-mapping-server) $(EACH_STATIC)
	@ls target/*-unknown-linux-musl/release/role-mapping-server

# $(call static,PACKAGE): compiles a program with the C library in it; what follows says for which machines.
static = rig/portably cargo-zigbuild zigbuild --release --locked -p $(1)
EACH_STATIC := $(MACHINES:%=--target %-unknown-linux-musl)

# Gathers in dist/ what a release consists of. The same commit gives the same bytes. Takes twenty minutes on two cores.
wheel sdist release: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct)
release: committed publish wheel sdist command-line server build/buildah build/cyclonedx/ok
	@$(PYTHON) -m runs.release

committed:
	@test -z "$$(git status --porcelain)" || { echo "a release is made of a commit, and these files differ from it:"; git status --short; exit 1; } >&2

# Rust's own library for the machines and C libraries that are not those of this machine.
build/rust-targets: rust-toolchain.toml
	@mkdir -p build
	@rig/quietly rust-targets "fetching Rust's library for other machines" rustup target add \
	  $(foreach machine,$(MACHINES),$(machine)-unknown-linux-gnu $(machine)-unknown-linux-musl)
	@touch $@

# Compiles the wheel without optimisation, in a fraction of the time, while the jar is still being made. Its tokio has the feature that
# the tests in Rust need: cargo would compile all that stands on tokio a second time.
build/wheel/dev/bare/ok: Cargo.toml Cargo.lock pyproject.toml $(shell find crates python -type f -not -name '*.pyc' -not -name '*.cdx.json' -not -path '*/.*') | build/venv/tools
	@rig/quietly wheel-dev "compiling the wheel" "$(call compile,build/wheel/dev,,--profile dev --features tokio/test-util)"
	@touch $@

# Installs that wheel beside the readers that the tests use with it.
build/python-venv/ok: build/wheel/dev/bare/ok $(JAR) build/python-venv/packages
	@rig/quietly python-venv "installing the wheel" "$(call pack,build/wheel/dev); $(call install,python)"
	@touch $@

build/%-venv/ok: build/%-venv/packages build/python-venv/ok
	@rig/quietly $*-venv "installing the wheel beside the packages of $*" "$(call install,$*)"
	@touch $@

build/python-venv/packages: tests/programs/python/requirements.txt
	@$(call packages,python,$<)

build/%-venv/packages: tests/programs/python/%_requirements.txt
	@$(call packages,$*,$<)

# $(call packages,NAME,REQUIREMENTS): installs the packages into the environment build/NAME-venv.
define packages
test -e build/$(1)-venv/bin/python || python3 -m venv build/$(1)-venv; \
rig/quietly $(1)-packages "installing the packages of $(2)" build/$(1)-venv/bin/python $(PIP) install -r $(2); \
touch $@
endef

# $(call install,NAME): installs the wheel into the environment build/NAME-venv.
install = build/$(1)-venv/bin/python $(PIP) install --force-reinstall --no-deps build/wheel/dev/*.whl

# $(call compile,DIRECTORY,[WRAPPER],OPTIONS): builds the wheel of `pip install .` in DIRECTORY/bare.
define compile
rm -rf $(1)/bare; \
$(2) $(PYTHON) -m maturin build --locked $(3) -o $(1)/bare
endef

# $(call pack,DIRECTORY): makes of the wheel in DIRECTORY/bare the one with the jar, in DIRECTORY.
define pack
rm -rf $(1)/unpacked $(1)/*.whl; \
$(PYTHON) -m wheel unpack -d $(1)/unpacked $(1)/bare/*.whl; \
mkdir $(1)/unpacked/hops_credentials-$(VERSION)/hops/credentials_provider/jar; \
install -m 644 $(JAR) $(1)/unpacked/hops_credentials-$(VERSION)/hops/credentials_provider/jar; \
$(PYTHON) -m wheel pack -d $(1) $(1)/unpacked/hops_credentials-$(VERSION); \
rm -r $(1)/unpacked
endef

# The AWS SDK for JavaScript, which prefers a profile to everything else. Node finds packages above the program that it runs.
build/node/ok: tests/programs/node/package.json tests/programs/node/reader.js | build/npm
	@mkdir -p build/node && cp tests/programs/node/* build/node
	@rig/quietly npm "fetching the AWS SDK for JavaScript" npm install --prefix build/node --no-audit --no-fund --no-package-lock
	@touch $@

# Publishes to build/repo, not to ~/.m2, where sbt fails on every pom whose jar Maven never fetched.
publish: $(JAR)
	@rig/quietly publish "publishing the jar to build/repo" $(GRADLE) -Dmaven.repo.local=$(CURDIR)/build/repo publishToMavenLocal

# Compiles all that `cargo test` runs. The server is part of it, so the tests of the product use that one.
build/rust-tests/ok: $(SERVER_SOURCES)
	@mkdir -p build/rust-tests
	@rig/quietly cargo-test "compiling the server and the tests in Rust" cargo test --workspace --locked --no-run
	@touch $@

$(SERVER): $(SERVER_SOURCES) rig/portably requirements.txt | build/venv/tools build/rust-targets
	@rig/quietly cargo-server "compiling the server, optimised" $(call static,role-mapping-server) --target $(STATIC)
	@touch $@

# In a command of its own: with the crates that examples need, the server would be another one.
$(PEER): server/examples/peer.rs $(SERVER)
	@rig/quietly cargo-peer "compiling the peer of the server" $(call static,role-mapping-server) --example peer --target $(STATIC)
	@touch $@

# $(call debian,PROGRAM,PACKAGES): installs Debian's packages if the machine lacks the program. Only one rule at a time does so.
define debian
mkdir -p build; \
(for program in $(1); do command -v $$program > /dev/null || exit 1; done) || flock build rig/quietly $(notdir $@) "installing $(2)" \
  "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(2)"; \
touch $@
endef

build/maven:
	@$(call debian,mvn,maven)

build/npm:
	@$(call debian,node npm,nodejs npm)

build/gradle:
	@$(call debian,gradle,gradle)

# The browser that the tests of the server's pages drive.
build/chromium:
	@$(call debian,chromium,chromium fonts-dejavu-core)

# The proxies in which the tests try the rules of the operator's guide.
build/proxies:
	@$(call debian,nginx caddy,nginx-light caddy)

# The shell that evaluates what `hops-credentials env --shell fish` prints.
build/fish:
	@$(call debian,fish,fish)

# What builds the image of the server without an engine, and what reads it.
build/buildah:
	@$(call debian,buildah skopeo,buildah skopeo)

# What lists the crates in each artifact of a release.
build/cyclonedx/ok:
	@rig/quietly cyclonedx "compiling cargo-cyclonedx" \
	  CARGO_TARGET_DIR=$(CURDIR)/build/cyclonedx/target cargo install -q --locked --force --root build/cyclonedx cargo-cyclonedx@0.5.9
	@rm -rf build/cyclonedx/target
	@touch $@

# The load generator of `make bench-server`.
build/wrk:
	@$(call debian,wrk,wrk)

# The database on which the server's tests run, as well as on SQLite.
build/postgresql:
	@$(call debian,/usr/lib/postgresql/*/bin/initdb,postgresql)

# Helm, which renders the server's chart. Go calls the machines amd64 and arm64.
build/helm/ok: | build/maven
	@rm -rf build/helm
	@rig/quietly helm "fetching helm" "$(MAVEN) $(DEPENDENCY):copy -DoutputDirectory=$(CURDIR)/build/helm -Dmdep.stripVersion=true \
	  -Dartifact=com.marcnuri.helm-java:linux-$(if $(filter aarch64,$(shell uname -m)),arm64,amd64):0.0.21; \
	  cd build/helm; $(JAVA_HOME)/bin/jar -xf *.jar; rm *.jar"
	@touch $@

# What unpacks other Linuxes, and runs those for another processor.
build/debootstrap:
	@$(call debian,debootstrap qemu-aarch64-static,debootstrap qemu-user-static)

# The other Linuxes that rig/root.py lists.
build/root/%/ok: rig/root.py | build/debootstrap
	@rig/quietly root-$* "unpacking the Linux $*" python3 -m rig.root $*
	@touch $@

# The packages of the rig: an AWS, its client, and what unpacks PySpark.
build/venv/ok: rig/requirements.txt
	@test -e $(PYTHON) || rig/quietly venv "making a Python environment" python3 -m venv build/venv
	@rig/quietly pip "installing the packages of $<" $(PYTHON) $(PIP) install -r $<
	@touch $@

# The packages that build and check besides.
build/venv/tools: requirements.txt build/venv/ok
	@rig/quietly pip-tools "installing the packages of $<" $(PYTHON) $(PIP) install -r $<
	@touch $@

build/spark/%/ok: build/spark/%/home/ok build/spark/%/s3a/ok
	@touch $@

# Saves each JVM of a test that runs Spark two fifths of its processor time.
build/spark/%/classes.jsa: build/spark/%/ok rig/class_archive.py
	@rm -f $@
	@rig/quietly classes-$* "archiving the classes of Spark $*" $(PYTHON) -m rig.class_archive $*

# Unpacks the source package of pyspark: launch scripts and jars, the shell and its Scala compiler among them, and pyspark itself.
build/spark/%/home/ok: | build/venv/ok
	@rm -rf build/spark/$*/home build/spark/$*/python && mkdir -p build/spark/$*/home build/spark/$*/python
	@rig/quietly spark-$* "fetching Spark $*" "\
	  $(PYTHON) $(PIP) download --no-deps --no-build-isolation --no-binary :all: -d build/spark/$* pyspark==$*; cd build/spark/$*; \
	  tar -xzf pyspark-$*.tar.gz -C home --strip-components=2 pyspark-$*/deps/bin pyspark-$*/deps/jars; \
	  tar -xzf pyspark-$*.tar.gz -C python --strip-components=1 pyspark-$*/pyspark pyspark-$*/lib; rm pyspark-$*.tar.gz"
	@touch $@

# The S3A of each line: the pom for its AWS SDK, and the versions that its Hadoop names. Nobody has published the transfer manager 2.24.6.
build/spark/3.3.4/s3a/ok: S3A := s3a-v1.xml -Dhadoop=3.3.2 -Dsdk=1.11.1026
build/spark/3.4.4/s3a/ok: S3A := s3a-v1.xml -Dhadoop=3.3.4 -Dsdk=1.12.262
build/spark/3.5.8/s3a/ok: S3A := s3a-v1.xml -Dhadoop=3.3.4 -Dsdk=1.12.262
build/spark/3.5.9/s3a/ok: S3A := s3a-v1.xml -Dhadoop=3.3.4 -Dsdk=1.12.262
build/spark/4.0.5/s3a/ok: S3A := s3a-v2.xml -Dhadoop=3.4.1 -Dsdk=2.24.6 -Dtransfer=2.24.5
build/spark/4.1.4/s3a/ok: S3A := s3a-v2.xml -Dhadoop=3.4.2 -Dsdk=2.29.52
build/spark/4.2.1/s3a/ok: S3A := s3a-v2.xml -Dhadoop=3.5.0 -Dsdk=2.35.4 -Daccelerator=1.3.1
build/spark/4.3.0/s3a/ok: S3A := s3a-v2.xml -Dhadoop=3.5.0 -Dsdk=2.35.4 -Daccelerator=1.3.1
build/spark/%/s3a/ok: | build/maven
	@rig/quietly s3a-$* "fetching S3A for Spark $*" $(MAVEN) -f rig/poms/$(S3A) $(DEPENDENCY):copy-dependencies \
	  -DincludeScope=runtime -DexcludeGroupIds=$(SPARK_GROUPS) -DoutputDirectory=$(CURDIR)/build/spark/$*/s3a
	@touch $@

# Formats and readers of tables, and clients of other services, for a line of Spark: `build/tables/FORMAT-LINE/ok`.
build/tables/iceberg-3.5.8/ok: TABLES := iceberg.xml -Diceberg=1.12.0 -Druntime=3.5_2.12
build/tables/iceberg-4.1.4/ok: TABLES := iceberg.xml -Diceberg=1.12.0 -Druntime=4.1_2.13
build/tables/iceberg-1.10-3.5.8/ok: TABLES := iceberg.xml -Diceberg=1.10.2 -Druntime=3.5_2.12
build/tables/delta-3.5.8/ok: TABLES := delta.xml -Ddelta=3.3.3 -Dspark=2.12
build/tables/delta-4.1.4/ok: TABLES := delta.xml -Ddelta=4.4.0 -Dspark=4.1_2.13
build/tables/hudi-3.5.8/ok: TABLES := one.xml -Dgroup=org.apache.hudi -Dartifact=hudi-spark3.5-bundle_2.12 -Dversion=1.2.0
build/tables/cloud-3.5.8/ok: TABLES := one.xml -Dgroup=org.apache.spark -Dartifact=spark-hadoop-cloud_2.12 -Dversion=3.5.8
build/tables/cloud-4.1.4/ok: TABLES := one.xml -Dgroup=org.apache.spark -Dartifact=spark-hadoop-cloud_2.13 -Dversion=4.1.2
build/tables/comet-3.5.8/ok: TABLES := one.xml -Dgroup=org.apache.datafusion -Dartifact=comet-spark-spark3.5_2.12 -Dversion=0.12.0
build/tables/comet-4.1.4/ok: TABLES := one.xml -Dgroup=org.apache.datafusion -Dartifact=comet-spark-spark4.1_2.13 -Dversion=1.2.0
build/tables/services-4.1.4/ok: TABLES := services.xml -Dsdk=2.29.52
build/tables/%/ok: rig/poms/iceberg.xml rig/poms/delta.xml rig/poms/one.xml rig/poms/services.xml | build/maven
	@rm -rf build/tables/$*
	@rig/quietly tables-$* "fetching the format of tables $*" $(MAVEN) -f rig/poms/$(TABLES) $(DEPENDENCY):copy-dependencies \
	  -DincludeScope=runtime -DexcludeGroupIds=$(SPARK_GROUPS) -DoutputDirectory=$(CURDIR)/build/tables/$*
	@touch $@

# YARN, HDFS and a KDC, which `make everywhere` runs on loopback.
build/yarn/ok: rig/yarn/pom.xml | build/maven
	@rm -rf build/yarn/jars
	@rig/quietly yarn "fetching YARN, HDFS and a KDC" $(MAVEN) -f $< $(DEPENDENCY):copy-dependencies \
	  -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/build/yarn/jars
	@touch $@

build/sbt-launch.jar: | build/maven
	@mkdir -p build
	@rig/quietly sbt "fetching sbt" $(MAVEN) $(DEPENDENCY):copy -Dartifact=org.scala-sbt:sbt-launch:1.12.14 \
	  -DoutputDirectory=$(CURDIR)/build -Dmdep.stripVersion=true
	@touch $@
