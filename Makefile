# 工程建设项目中介服务超市 / Intermediary-service supermarket. `make` alone lists what can be done.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup run test test-nightly lint story bench seed docs

# Chinese text must survive any LANG; nothing below may wait for an answer.
export PYTHONUTF8 := 1
export FLASK_APP ?= app.py
BIN := .venv/bin
# The sandbox (demo time and accounts) belongs to the bundled database only.
SANDBOXED := [ -n "$$DATABASE_URL" ] || export SANDBOX="$${SANDBOX:-1}"

help: ## 显示本帮助 | Show this help
	@printf '用法 / Usage: make <目标 target>\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { split($$2, said, " [|] "); printf "  make %-13s %s\n%20s%s\n", $$1, said[1], "", said[2] }' $(firstword $(MAKEFILE_LIST))

setup: ## 准备开发环境（依赖、浏览器、译文） | Prepare everything for development: dependencies, browser, translations
	@sh tools/setup.sh development

run: ## 启动门户 http://127.0.0.1:8000（PORT= 可改端口） | Start the portal, PORT= chooses the port
	@sh tools/setup.sh runtime
	@$(SANDBOXED); exec $(BIN)/flask serve

test: ## 运行全部测试（含浏览器流程） | Run all tests, browser journeys included
	@sh tools/setup.sh development
	@exec $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-nightly: ## 运行耗时较长的测试 | Run the long tests
	@sh tools/setup.sh development
	@exec $(BIN)/pytest -m nightly

lint: ## 检查代码格式、类型和分层 | Check style, types and layers
	@sh tools/setup.sh libraries
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

story: ## 通过 HTTP 演示完整业务链 | Play the whole chain over HTTP
	@sh tools/setup.sh development
	@exec $(BIN)/flask story

bench: ## 性能测量，结果写入 bench/results.json | Measure speed, written to bench/results.json
	@sh tools/setup.sh libraries
	@$(BIN)/python bench/run.py
	@$(BIN)/python bench/storm.py
	@$(BIN)/python bench/rooms.py
	@$(BIN)/python bench/previews.py

seed: ## 载入演示数据 | Load the demo data
	@sh tools/setup.sh runtime
	@$(SANDBOXED); exec $(BIN)/flask demo load

docs: ## 核对文档与代码一致 | Check that the documents match the code
	@sh tools/setup.sh runtime
	@exec $(BIN)/flask docs check
