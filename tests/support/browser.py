"""A headless Chromium that does what a person does on a page: look, click, press keys."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.support.process import until

DEADLINE_SECONDS = 15.0

#: In JavaScript: the elements of a selector, and whether an element can be seen.
_ELEMENTS = "[...document.querySelectorAll(arguments[0])]"
_IS_VISIBLE = "each => each.checkVisibility({visibilityProperty: true})"

Theme = Literal["dark", "light"]


def missing() -> str | None:
    """Why no browser can be started here, or ``None``."""
    for program, package in (("chromium", "chromium"), ("chromedriver", "chromium-driver")):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: {package})"
    return None


class Browser:
    """A window. Each look waits until the page is as expected, for at most some seconds."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        """Load a page."""
        self.driver.get(address)

    @property
    def address(self) -> str:
        return self.driver.current_url

    def run(self, script: str, *arguments: Any) -> Any:
        """The value that a script returns, as the page itself would get it."""
        return self.driver.execute_script(script, *arguments)

    def run_async(self, script: str, *arguments: Any) -> Any:
        """The value that a script passes to its last argument, a function."""
        return self.driver.execute_async_script(script, *arguments)

    # --- looking ---

    def until(self, condition: str, *arguments: Any) -> Any:
        """Wait until an expression of JavaScript is true. Returns its value."""
        value: Any = None

        def holds() -> bool:
            nonlocal value
            value = self.run(f"return {condition}", *arguments)
            return bool(value)

        until(holds, DEADLINE_SECONDS)
        return value

    def see(self, css: str) -> WebElement:
        """The first visible element of this selector, once there is one."""
        found: WebElement = self.until(f"{_ELEMENTS}.find({_IS_VISIBLE})", css)
        return found

    def until_gone(self, css: str) -> None:
        """Wait until no element of this selector is visible."""
        self.until(f"!{_ELEMENTS}.some({_IS_VISIBLE})", css)

    def until_text(self, css: str, text: str) -> None:
        """Wait until a visible element of this selector contains a text."""
        has_text = "each => each.innerText.includes(arguments[1])"
        condition = f"{_ELEMENTS}.filter({_IS_VISIBLE}).some({has_text})"
        try:
            self.until(condition, css, text)
        except AssertionError:
            raise AssertionError((css, text, self.texts(css))) from None

    def texts(self, css: str) -> list[str]:
        """The texts of all visible elements of this selector, as they are now."""
        found: list[str] = self.run(
            f"return {_ELEMENTS}.filter({_IS_VISIBLE}).map(each => each.innerText)", css
        )
        return found

    def text(self, css: str) -> str:
        """The text of the first visible element of this selector, once there is one."""
        return self.see(css).text

    def count(self, css: str) -> int:
        """How many elements of this selector the page has now, visible or not."""
        number: int = self.run("return document.querySelectorAll(arguments[0]).length", css)
        return number

    def until_count(self, css: str, number: int) -> None:
        """Wait until the page has so many elements of this selector."""
        self.until("document.querySelectorAll(arguments[0]).length === arguments[1]", css, number)

    # --- doing ---

    def click(self, css: str) -> None:
        """Click on the first visible element of this selector, as a mouse does."""

        def clicked() -> bool:
            try:
                self.see(css).click()
            except StaleElementReferenceException:
                return False  # the page has replaced the element since it was found
            return True

        until(clicked, DEADLINE_SECONDS)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def press_with_shift(self, key: str) -> None:
        """Press a key while Shift is down."""
        keys = ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(key).key_up(Keys.SHIFT)
        keys.perform()

    def choose(self, css: str, value: str) -> None:
        """Choose an option of a ``select``."""
        self.until(
            "[...document.querySelector(arguments[0]).options]"
            ".some(each => each.value === arguments[1])",
            css,
            value,
        )
        self.run(
            "const [css, value] = arguments; const select = document.querySelector(css);"
            "select.value = value; select.dispatchEvent(new Event('change', {bubbles: true}))",
            css,
            value,
        )

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Give the window this size in CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})

    def prefer(self, theme: Theme) -> None:
        """Let the system prefer dark or light."""
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def save_picture(self, path: Path) -> None:
        """Save what the window shows as PNG."""
        assert self.driver.save_screenshot(str(path))

    def complaints(self) -> list[str]:
        """What the browser has logged since the last call: errors of scripts, and violations of
        policies. That a server refuses a request, or has stopped, is no complaint."""
        log = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [each["message"] for each in log if each["source"] != "network"]


@contextmanager
def browser(profile: Path, arguments: Sequence[str] = ()) -> Iterator[Browser]:
    """A browser with a new profile in this directory, as long as the ``with`` lasts."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for each in (
        "--headless=new",
        "--no-sandbox",  # root may not use it
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        f"--user-data-dir={profile}",
        *arguments,
    ):
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options, service)
    try:
        window = Browser(driver)
        window.resize(1400, 900)
        yield window
    finally:
        driver.quit()


def computed_style(window: Browser, css: str, name: str) -> str:
    """The value of a property of the first visible element of this selector."""
    value: str = window.run(
        "return getComputedStyle(arguments[0]).getPropertyValue(arguments[1])",
        window.see(css),
        name,
    )
    return value


def as_script(value: object) -> str:
    """A value as a literal of JavaScript."""
    return json.dumps(value)
