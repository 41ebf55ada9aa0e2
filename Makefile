# Two commands: `make demo` and `make test`. Each installs what it lacks into build/ and target/; outside of them only the package caches
# grow, and Debian's packages are installed where the machine lacks a program. What package managers and compilers say is in build/log/.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: demo demo-parts test program matrix soak bench-server readers test-tensorflow parts jar wheel publish

export JAVA_HOME := $(shell python3 -m rig.jdk 17)
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
PYTHON := build/venv/bin/python
PIP := -m pip -q --no-cache-dir --disable-pip-version-check
JAR := build/libs/hops-credentials-$(VERSION).jar
SERVER := target/release/role-mapping-server
WHEEL := hops_credentials-$(VERSION)-cp39-abi3-manylinux_2_34_$(shell uname -m).whl
# A daemon would outlive the command. Gradle 4 waits for ever when a JVM of its own fails to start, hence the limit.
GRADLE := timeout 1200 gradle --no-daemon --console=plain -q
MAVEN := mvn -q -B -Dstyle.color=never
DEPENDENCY := org.apache.maven.plugins:maven-dependency-plugin:3.8.1
# Spark brings these in its own versions.
OF_SPARK := io.netty,org.slf4j,com.fasterxml.jackson.core,org.apache.httpcomponents,commons-logging,commons-codec,joda-time
JAR_SOURCES := Cargo.toml Cargo.lock crates/core/Cargo.toml build.gradle settings.gradle $(shell find src crates/core/src java s3a-bridge -type f)
SERVER_SOURCES := Cargo.toml Cargo.lock $(shell find crates/core server -type f -not -path '*/tests/*')

# Jar and server are those that users get, without optimisation: these are compiled in a third of the time.
demo:
	@$(MAKE) --no-print-directory -j4 demo-parts
	@RIG_BUILD=dev $(PYTHON) -m demo

demo-parts: build/venv/ok build/spark/3.5.8/ok build/dev/ok

build/dev/ok: $(JAR_SOURCES) $(SERVER_SOURCES) | build/gradle
	@rig/quietly cargo-dev "compiling library and server" cargo build --locked -p hops-credentials -p role-mapping-server
	@rig/quietly gradle-dev "building the jar" $(GRADLE) -Pdev jar
	@touch $@

# `make test ONLY=NAME` runs the tests whose names hold NAME.
test: build/venv/tools
	@$(PYTHON) -m runs.suite $(if $(ONLY),--only '$(ONLY)')

# `make program NAME=Resource [ARGS=…]`: one of tests/programs/scala on Spark, as a member of a running deployment.
program: build/venv/ok build/spark/3.5.8/ok $(JAR) $(SERVER)
	@$(PYTHON) -m runs.program $(NAME) $(ARGS)

bench-server: build/venv/ok build/wrk $(SERVER)
	@$(PYTHON) -m runs.bench_server

# Where the jars may lie: every layout on every line of Spark, and which class loader then holds what.
matrix: parts
	@$(PYTHON) -m runs.matrix

# Twenty lifetimes and more on every line of Spark, with trouble all the way; about fifteen minutes.
soak: parts
	@$(PYTHON) -m runs.soak

# The job of the demo that trains, on the versions of TensorFlow that read s3://; a gigabyte to fetch.
test-tensorflow: build/tensorflow-venv/ok $(SERVER)
	@$(PYTHON) -m pytest -q tests/product/tensorflow_job.py

# Every reader we know through five lifetimes of its credentials, in a table; two gigabytes to fetch.
readers: build/readers-venv/ok build/tensorflow-venv/ok $(SERVER)
	@$(PYTHON) -m runs.readers

# Everything that the tests of the built product use.
parts: build/venv/tools build/spark/3.5.8/ok build/spark/4.1.4/ok build/spark/4.3.0/ok build/sbt-launch.jar build/postgresql build/chromium build/proxies jar publish build/python-venv/ok $(SERVER)

jar: $(JAR)

$(JAR): $(JAR_SOURCES) | build/gradle
	@rig/quietly gradle "building the jar, optimised" $(GRADLE) jar
	@touch $@

# As users get it: optimised, and with the jar in it.
wheel: $(JAR) build/venv/tools
	@rig/quietly wheel "building the wheel, optimised" "$(call pack,release,build/wheel)"
	@echo "build/wheel/$(WHEEL)"

# Built without optimisation, which takes a fraction of the time, and beside the readers that the tests use with it.
build/python-venv/ok: tests/programs/python/requirements.txt $(JAR) Cargo.toml Cargo.lock pyproject.toml $(shell find crates python -type f -not -name '*.pyc' -not -path '*/.*') | build/venv/tools
	@rig/quietly wheel-dev "building the wheel" "$(call pack,dev,build/wheel/dev)"
	@test -e build/python-venv/bin/python || python3 -m venv build/python-venv
	@rig/quietly python-venv "installing the wheel and readers of S3" "$(call install,python,tests/programs/python/requirements.txt)"
	@touch $@

build/%-venv/ok: tests/programs/python/%_requirements.txt build/python-venv/ok
	@test -e build/$*-venv/bin/python || python3 -m venv build/$*-venv
	@rig/quietly $*-venv "installing the wheel and the packages of $<" "$(call install,$*,$<)"
	@touch $@

# $(call install,NAME,REQUIREMENTS): the environment build/NAME-venv gets the packages and the wheel.
define install
build/$(1)-venv/bin/python $(PIP) install -r $(2); \
build/$(1)-venv/bin/python $(PIP) install --force-reinstall --no-deps build/wheel/dev/$(WHEEL)
endef

# $(call pack,PROFILE,DIRECTORY): the wheel that `pip install .` would build goes to DIRECTORY/bare, the one with the jar to DIRECTORY.
define pack
rm -rf $(2)/bare $(2)/unpacked; \
$(PYTHON) -m maturin build --locked --profile $(1) -o $(2)/bare; \
$(PYTHON) -m wheel unpack -d $(2)/unpacked $(2)/bare/$(WHEEL); \
mkdir $(2)/unpacked/hops_credentials-$(VERSION)/hops/credentials_provider/jar; \
cp $(JAR) $(2)/unpacked/hops_credentials-$(VERSION)/hops/credentials_provider/jar; \
$(PYTHON) -m wheel pack -d $(2) $(2)/unpacked/hops_credentials-$(VERSION); \
rm -r $(2)/unpacked
endef

# Not ~/.m2: sbt fails there on every pom whose jar Maven never fetched.
publish: $(JAR)
	@rig/quietly publish "publishing the jar to build/repo" $(GRADLE) -Dmaven.repo.local=$(CURDIR)/build/repo publishToMavenLocal

$(SERVER): $(SERVER_SOURCES)
	@rig/quietly cargo-server "compiling the server, optimised" cargo build --release --locked -p role-mapping-server
	@touch $@

# $(call debian,PROGRAM,PACKAGES): installs Debian's packages when the machine lacks the program; one rule at a time.
define debian
mkdir -p build; \
command -v $(1) > /dev/null || flock build rig/quietly $(notdir $@) "installing $(2)" \
  "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(2)"; \
touch $@
endef

build/maven:
	@$(call debian,mvn,maven)

build/gradle:
	@$(call debian,gradle,gradle)

# The tests of the server's pages drive it.
build/chromium:
	@$(call debian,chromium,chromium fonts-dejavu-core)

# The rules of the operator's guide are tested in them.
build/proxies:
	@$(call debian,caddy,nginx-light caddy)

build/wrk:
	@$(call debian,wrk,wrk)

# The server's tests run on it as well as on SQLite.
build/postgresql:
	@$(call debian,/usr/lib/postgresql/*/bin/initdb,postgresql)

# What the rig needs: an AWS, its client, and what unpacks PySpark.
build/venv/ok: rig/requirements.txt
	@test -e $(PYTHON) || rig/quietly venv "making a Python environment" python3 -m venv build/venv
	@rig/quietly pip "installing the packages of $<" $(PYTHON) $(PIP) install -r $<
	@touch $@

# What builds and checks besides.
build/venv/tools: requirements.txt build/venv/ok
	@rig/quietly pip-tools "installing the packages of $<" $(PYTHON) $(PIP) install -r $<
	@touch $@

build/spark/%/ok: build/spark/%/home/ok build/spark/%/s3a/ok
	@touch $@

# Spark as the pyspark source package has it: launch scripts and jars, the shell and its Scala compiler among them, and pyspark.
build/spark/%/home/ok: | build/venv/ok
	@rm -rf build/spark/$*/home build/spark/$*/python && mkdir -p build/spark/$*/home build/spark/$*/python
	@rig/quietly spark-$* "fetching Spark $*" "\
	  $(PYTHON) $(PIP) download --no-deps --no-build-isolation --no-binary :all: -d build/spark/$* pyspark==$*; cd build/spark/$*; \
	  tar -xzf pyspark-$*.tar.gz -C home --strip-components=2 pyspark-$*/deps/bin pyspark-$*/deps/jars; \
	  tar -xzf pyspark-$*.tar.gz -C python --strip-components=1 pyspark-$*/pyspark pyspark-$*/lib; rm pyspark-$*.tar.gz"
	@touch $@

build/spark/3.5.8/s3a/ok: HADOOP := 3.3.4
build/spark/4.1.4/s3a/ok: HADOOP := 3.4.2
build/spark/4.3.0/s3a/ok: HADOOP := 3.5.0
build/spark/%/s3a/ok: | build/maven
	@rig/quietly s3a-$* "fetching S3A of Hadoop $(HADOOP)" $(MAVEN) -f rig/poms/s3a-$(HADOOP).xml $(DEPENDENCY):copy-dependencies \
	  -DincludeScope=runtime -DexcludeGroupIds=$(OF_SPARK) -DoutputDirectory=$(CURDIR)/build/spark/$*/s3a
	@touch $@

build/sbt-launch.jar: | build/maven
	@mkdir -p build
	@rig/quietly sbt "fetching sbt" $(MAVEN) $(DEPENDENCY):copy -Dartifact=org.scala-sbt:sbt-launch:1.12.14 \
	  -DoutputDirectory=$(CURDIR)/build -Dmdep.stripVersion=true
	@touch $@
