# Two commands: `make demo` and `make test`. Each installs what it lacks into build/ and target/; outside of them only the package caches
# grow, and Debian's gradle is installed when the machine has none.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test parts jar publish

export JAVA_HOME := $(shell python3 -m rig.jdk 17)
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
PYTHON := build/venv/bin/python
PIP := $(PYTHON) -m pip -q --no-cache-dir --disable-pip-version-check
JAR := build/libs/hops-credentials-$(VERSION).jar
SERVER := target/release/role-mapping-server
# A daemon would outlive the command. Gradle 4 waits for ever when a JVM of its own fails to start, hence the limit.
GRADLE := timeout 1200 gradle --no-daemon --console=plain -q
MAVEN := mvn -q -B -Dstyle.color=never
DEPENDENCY := org.apache.maven.plugins:maven-dependency-plugin:3.8.1
# Spark brings these in its own versions.
OF_SPARK := io.netty,org.slf4j,com.fasterxml.jackson.core,org.apache.httpcomponents,commons-logging,commons-codec,joda-time

demo: build/venv/ok build/spark/3.5.8/ok $(JAR) $(SERVER)
	@$(PYTHON) -m demo

test: build/venv/ok
	@$(PYTHON) -m tests.suite

# Everything that the tests of the built product use.
parts: build/spark/3.5.8/ok build/spark/4.1.4/ok build/spark/4.3.0/ok build/sbt-launch.jar build/postgresql build/chromium jar publish $(SERVER)

jar: $(JAR)

$(JAR): Cargo.toml Cargo.lock build.gradle settings.gradle $(shell find src java bridge -type f 2>/dev/null) | build/gradle
	@echo "building the jar" >&2
	@$(GRADLE) jar
	@touch $@

# Not ~/.m2: sbt fails there on every pom whose jar Maven never fetched.
publish: $(JAR)
	@$(GRADLE) -Dmaven.repo.local=$(CURDIR)/build/repo publishToMavenLocal

$(SERVER): Cargo.toml Cargo.lock $(shell find src server -type f)
	@echo "building the server" >&2
	@cargo build --release --locked -q -p role-mapping-server
	@touch $@

build/gradle:
	@mkdir -p build
	@command -v gradle > /dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends gradle; }
	@touch $@

# The server's tests run on it as well as on SQLite.
build/chromium:
	@mkdir -p build
	@command -v chromium > /dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core; }
	@touch $@

build/postgresql:
	@mkdir -p build
	@ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || { apt-get update -q && apt-get install -y -q --no-install-recommends postgresql; }
	@touch $@

build/venv/ok: requirements.txt
	@echo "installing Python packages" >&2
	@python3 -m venv build/venv
	@$(PIP) install -r requirements.txt
	@touch $@

build/spark/3.5.8/ok: HADOOP := 3.3.4
build/spark/4.1.4/ok: HADOOP := 3.4.2
build/spark/4.3.0/ok: HADOOP := 3.5.0
# Spark as the pyspark source package has it: launch scripts and jars, the shell and its Scala compiler among them.
build/spark/%/ok: | build/venv/ok
	@echo "fetching Spark $* and S3A of Hadoop $(HADOOP)" >&2
	@rm -rf build/spark/$* && mkdir -p build/spark/$*/home
	@$(PIP) download --no-deps --no-build-isolation --no-binary :all: -d build/spark/$* pyspark==$*
	@cd build/spark/$* && tar -xzf pyspark-$*.tar.gz -C home --strip-components=2 pyspark-$*/deps/bin pyspark-$*/deps/jars && rm pyspark-$*.tar.gz
	@$(MAVEN) -f rig/poms/s3a-$(HADOOP).xml $(DEPENDENCY):copy-dependencies -DincludeScope=runtime -DexcludeGroupIds=$(OF_SPARK) -DoutputDirectory=$(CURDIR)/build/spark/$*/s3a
	@touch $@

build/sbt-launch.jar:
	@echo "fetching sbt" >&2
	@mkdir -p build
	@$(MAVEN) $(DEPENDENCY):copy -Dartifact=org.scala-sbt:sbt-launch:1.12.14 -DoutputDirectory=$(CURDIR)/build -Dmdep.stripVersion=true
	@touch $@
