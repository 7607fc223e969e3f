"""The page, driven in a real browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.cli.command import BUILD, Command
from tests.server.conftest import Start, new_key


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program and driver, "examples/setup.sh --full installs chromium and chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1000,1100",
        "--disable-dev-shm-usage",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver, env=dict(os.environ) | {"HOME": str(tmp_path)})
    chrome = webdriver.Chrome(options=options, service=service)
    yield chrome
    chrome.quit()


def test_page(browser: webdriver.Chrome, start: Start, store: Command) -> None:
    record = new_key(store, "--model", "*", "--scope", "infer")
    server = start("digits@production", "pair@production", options=[]).wait_ready()
    browser.get(f"http://127.0.0.1:{server.port}/")
    wait = WebDriverWait(browser, 30)
    key = browser.find_element(By.ID, "key")
    key.send_keys("pts_wrong")
    key.submit()
    wait.until(lambda b: "API key" in b.find_element(By.ID, "problem").text)
    key.clear()
    key.send_keys(record["key"])
    key.submit()
    wait.until(lambda b: len(b.find_elements(By.CLASS_NAME, "model")) == 2)
    assert not browser.find_element(By.ID, "problem").is_displayed()
    digits = browser.find_element(By.CLASS_NAME, "model")
    assert "version 1 · @production" in digits.text
    assert "images" in digits.text and "[-1, 1, 8, 8]" in digits.text
    digits.find_element(By.TAG_NAME, "button").click()
    wait.until(lambda _: '"model_name":"digits"' in digits.find_element(By.TAG_NAME, "output").text)
    wait.until(lambda b: b.find_element(By.ID, "health").text == "ready")
    browser.save_screenshot(str(BUILD / "server-page.png"))
    log: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    bad = [entry for entry in log if "401" not in entry["message"]]
    assert [entry for entry in bad if "favicon" not in entry["message"]] == []
