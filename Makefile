# Two commands: `make demo` and `make test`. Each installs what it lacks into build/ and target/; outside of them only the package caches
# grow, and Debian's gradle is installed when the machine has none.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test matrix soak bench-server parts jar wheel publish

export JAVA_HOME := $(shell python3 -m rig.jdk 17)
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
PYTHON := build/venv/bin/python
PIP := $(PYTHON) -m pip -q --no-cache-dir --disable-pip-version-check
JAR := build/libs/hops-credentials-$(VERSION).jar
SERVER := target/release/role-mapping-server
WHEEL := hops_credentials-$(VERSION)-cp39-abi3-manylinux_2_34_$(shell uname -m).whl
# A daemon would outlive the command. Gradle 4 waits for ever when a JVM of its own fails to start, hence the limit.
GRADLE := timeout 1200 gradle --no-daemon --console=plain -q
MAVEN := mvn -q -B -Dstyle.color=never
DEPENDENCY := org.apache.maven.plugins:maven-dependency-plugin:3.8.1
# Spark brings these in its own versions.
OF_SPARK := io.netty,org.slf4j,com.fasterxml.jackson.core,org.apache.httpcomponents,commons-logging,commons-codec,joda-time

demo: build/venv/ok build/spark/3.5.8/ok $(JAR) $(SERVER)
	@$(PYTHON) -m demo

test: build/venv/ok
	@$(PYTHON) -m runs.suite

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
parts: build/spark/3.5.8/ok build/spark/4.1.4/ok build/spark/4.3.0/ok build/sbt-launch.jar build/postgresql build/chromium build/proxies jar publish build/python-venv/ok $(SERVER)

jar: $(JAR)

$(JAR): Cargo.toml Cargo.lock build.gradle settings.gradle $(shell find src crates/core/src java s3a-bridge -type f 2>/dev/null) | build/gradle
	@echo "building the jar" >&2
	@$(GRADLE) jar
	@touch $@

# As users get it: optimised, and with the jar in it.
wheel: $(JAR) build/venv/ok
	@$(call pack,release,build/wheel)
	@echo "build/wheel/$(WHEEL)"

# Built without optimisation, which takes a fraction of the time, and beside the readers that the tests use with it.
build/python-venv/ok: tests/programs/python/requirements.txt $(JAR) Cargo.toml Cargo.lock pyproject.toml $(shell find crates python -type f -not -name '*.pyc' -not -path '*/.*') | build/venv/ok
	@echo "building the wheel" >&2
	@$(call pack,dev,build/wheel/dev)
	@test -e build/python-venv/bin/python || python3 -m venv build/python-venv
	@build/python-venv/bin/python -m pip -q --disable-pip-version-check install -r tests/programs/python/requirements.txt
	@build/python-venv/bin/python -m pip -q --disable-pip-version-check install --force-reinstall --no-deps build/wheel/dev/$(WHEEL)
	@touch $@

build/%-venv/ok: tests/programs/python/%_requirements.txt build/python-venv/ok
	@echo "fetching the packages of tests/programs/python/$*_requirements.txt" >&2
	@test -e build/$*-venv/bin/python || python3 -m venv build/$*-venv
	@build/$*-venv/bin/python -m pip -q --disable-pip-version-check install -r tests/programs/python/$*_requirements.txt
	@build/$*-venv/bin/python -m pip -q --disable-pip-version-check install --force-reinstall --no-deps build/wheel/dev/$(WHEEL)
	@touch $@

# $(call pack,PROFILE,DIRECTORY): the wheel that `pip install .` would build goes to DIRECTORY/bare, the one with the jar to DIRECTORY.
define pack
rm -rf $(2)/bare $(2)/unpacked
$(PYTHON) -m maturin build -q --locked --profile $(1) -o $(2)/bare
$(PYTHON) -m wheel unpack -d $(2)/unpacked $(2)/bare/$(WHEEL) > /dev/null
mkdir $(2)/unpacked/hops_credentials-$(VERSION)/hops/credentials_provider/jar
cp $(JAR) $(2)/unpacked/hops_credentials-$(VERSION)/hops/credentials_provider/jar
$(PYTHON) -m wheel pack -d $(2) $(2)/unpacked/hops_credentials-$(VERSION) > /dev/null
rm -r $(2)/unpacked
endef

# Not ~/.m2: sbt fails there on every pom whose jar Maven never fetched.
publish: $(JAR)
	@$(GRADLE) -Dmaven.repo.local=$(CURDIR)/build/repo publishToMavenLocal

$(SERVER): Cargo.toml Cargo.lock $(shell find crates/core/src server -type f)
	@echo "building the server" >&2
	@cargo build --release --locked -q -p role-mapping-server
	@touch $@

build/gradle:
	@mkdir -p build
	@command -v gradle > /dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends gradle; }
	@touch $@

# The tests of the server's pages drive it.
build/chromium:
	@mkdir -p build
	@command -v chromium > /dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core; }
	@touch $@

# The rules of the operator's guide are tested in them.
build/proxies:
	@mkdir -p build
	@command -v nginx > /dev/null && command -v caddy > /dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends nginx-light caddy; }
	@touch $@

build/wrk:
	@mkdir -p build
	@command -v wrk > /dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends wrk; }
	@touch $@

# The server's tests run on it as well as on SQLite.
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
# Spark as the pyspark source package has it: launch scripts and jars, the shell and its Scala compiler among them, and pyspark.
build/spark/%/ok: | build/venv/ok
	@echo "fetching Spark $* and S3A of Hadoop $(HADOOP)" >&2
	@rm -rf build/spark/$* && mkdir -p build/spark/$*/home
	@$(PIP) download --no-deps --no-build-isolation --no-binary :all: -d build/spark/$* pyspark==$*
	@cd build/spark/$* && tar -xzf pyspark-$*.tar.gz -C home --strip-components=2 pyspark-$*/deps/bin pyspark-$*/deps/jars
	@cd build/spark/$* && mkdir -p python && tar -xzf pyspark-$*.tar.gz -C python --strip-components=1 pyspark-$*/pyspark pyspark-$*/lib && rm pyspark-$*.tar.gz
	@$(MAVEN) -f rig/poms/s3a-$(HADOOP).xml $(DEPENDENCY):copy-dependencies -DincludeScope=runtime -DexcludeGroupIds=$(OF_SPARK) -DoutputDirectory=$(CURDIR)/build/spark/$*/s3a
	@touch $@

build/sbt-launch.jar:
	@echo "fetching sbt" >&2
	@mkdir -p build
	@$(MAVEN) $(DEPENDENCY):copy -Dartifact=org.scala-sbt:sbt-launch:1.12.14 -DoutputDirectory=$(CURDIR)/build -Dmdep.stripVersion=true
	@touch $@
