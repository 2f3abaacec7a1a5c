//! The page in a real browser: headless Chromium (Debian package chromium) as a desk and as a phone, with scripts switched off.
//! Spoken to over its DevTools pipe, which gives what a picture alone does not: where things are, and how wide it all is.

use crate::page::incident;
use crate::synthetic::Served;
use h2watch::export::HttpLimits;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The first start on a busy machine takes a while.
const DEADLINE: Duration = Duration::from_secs(60);
/// Smaller is hard to read at arm's length; browsers' own default is 16.
const LEAST_FONT_PX: f64 = 14.0;

struct Screen {
    name: &'static str,
    width: f64,
    height: f64,
    /// Pixels of the device for each of the page's.
    scale: f64,
    mobile: bool,
}

const SCREENS: [Screen; 2] = [
    Screen { name: "desk", width: 1280.0, height: 900.0, scale: 1.0, mobile: false },
    Screen { name: "phone", width: 390.0, height: 844.0, scale: 2.0, mobile: true },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium; run by cargo xtask deploy-check"]
async fn stalled_connections_come_first_and_fit_the_screen_without_a_script() {
    let served = Served::start(HttpLimits::default()).await;
    served.exporter.observe(incident().into(), &[]);
    let mut browser = Browser::start().await;
    for screen in &SCREENS {
        browser.resize(screen).await;
        browser.open(&format!("http://{}/", served.address)).await;
        fits(&mut browser, screen).await;
        is_styled(&mut browser, screen).await;
        let picture = browser.picture().await;
        // Not a blank sheet: that is about 2 KiB.
        assert_eq!(png_width(&picture), screen.width * screen.scale, "{}", screen.name);
        assert!(picture.len() > 20_000, "{}: {} bytes", screen.name, picture.len());
        if let Some(folder) = std::env::var_os("H2WATCH_SCREENSHOTS") {
            let file = std::path::Path::new(&folder).join(format!("exporter-{}.png", screen.name));
            std::fs::write(file, &picture).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium; run by cargo xtask deploy-check"]
async fn the_page_loads_itself_again_with_what_is_new() {
    let served = Served::start(HttpLimits::default()).await;
    served.exporter.observe(incident().into(), &[]);
    let mut browser = Browser::start().await;
    browser.open(&format!("http://{}/", served.address)).await;
    assert_eq!(browser.count("article").await, 3);
    let mut later = incident();
    later.connections.remove(0);
    served.exporter.observe(later.into(), &[]);
    browser.loaded().await;
    assert_eq!(browser.count("article").await, 2, "one stall has ended");
}

/// Colours that say how bad it is, in a page with margins: the stylesheet is there.
async fn is_styled(browser: &mut Browser, screen: &Screen) {
    let name = screen.name;
    let document = browser.document().await;
    let ordinary = browser.style(&document, "td", "color").await;
    let critical = browser.style(&document, "article.critical .cause", "color").await;
    let warning = browser.style(&document, "article.warning .cause", "color").await;
    assert!(
        ordinary != critical && ordinary != warning && critical != warning,
        "{name}: {critical} {warning}"
    );
    for (card, colour) in [("article.critical", critical), ("article.warning", warning)] {
        assert_eq!(browser.style(&document, card, "border-left-color").await, colour, "{name}: {card}");
        let bar = browser.px(&document, card, "border-left-width").await;
        let line = browser.px(&document, card, "border-right-width").await;
        assert!(
            bar > 3.0 * line && line > 0.0,
            "{name}: {card} has a bar of {bar} px and a line of {line} px"
        );
    }
}

async fn fits(browser: &mut Browser, screen: &Screen) {
    let name = screen.name;
    let metrics = browser.ask("Page.getLayoutMetrics", json!({})).await;
    let width = metrics["cssContentSize"]["width"].as_f64().unwrap();
    assert!(width <= screen.width, "{name}: the page is {width} wide, one would have to scroll sideways");
    let document = browser.document().await;
    let cards = browser.boxes(&document, "article").await;
    assert_eq!(cards.len(), 3, "{name}: every stalled connection has a card");
    assert!(cards[0].top < screen.height / 2.0, "{name}: the first stall is seen at once: {:?}", cards[0]);
    let table = browser.boxes(&document, "table").await;
    assert!(cards.iter().all(|card| card.bottom <= table[0].top), "{name}: {cards:?} {table:?}");
    for what in ["article p", ".more", "dt", "dd", "td", "h2", ".summary", ".limit", "footer"] {
        for place in browser.boxes(&document, what).await {
            assert!(place.left >= 0.0 && place.right <= screen.width, "{name}: {what} at {place:?}");
        }
        let size = browser.px(&document, what, "font-size").await;
        assert!(size >= LEAST_FONT_PX, "{name}: {what} is written in {size} px");
    }
}

/// Of an element, in pixels of the page.
#[derive(Debug)]
struct Place {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

struct Browser {
    // Ends with the test; its profile is removed after it.
    _child: Child,
    _profile: tempfile::TempDir,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: Value,
    asked: u64,
}

impl Browser {
    async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // DevTools speaks on descriptors 3 and 4: the shell makes them out of its standard input and output.
        let mut child = Command::new("sh")
            .args(["-c", "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "chromium"])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("--remote-debugging-pipe")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut browser =
            Self { _child: child, _profile: profile, input, output, session: Value::Null, asked: 0 };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = browser.ask("Target.attachToTarget", attach).await["sessionId"].clone();
        for domain in ["Page.enable", "DOM.enable", "CSS.enable"] {
            browser.ask(domain, json!({})).await;
        }
        browser.ask("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
        browser
    }

    async fn resize(&mut self, screen: &Screen) {
        let Screen { width, height, scale, mobile, .. } = screen;
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile });
        self.ask("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    async fn open(&mut self, url: &str) {
        let opened = self.ask("Page.navigate", json!({ "url": url })).await;
        assert!(opened["errorText"].is_null(), "{opened}");
        self.loaded().await;
    }

    /// Waits until a page is there, also one that comes by itself.
    async fn loaded(&mut self) {
        while self.hear().await["method"] != "Page.loadEventFired" {}
    }

    async fn picture(&mut self) -> Vec<u8> {
        let answer = self.ask("Page.captureScreenshot", json!({ "format": "png" })).await;
        base64(answer["data"].as_str().unwrap())
    }

    async fn find(&mut self, document: &Value, selector: &str) -> Vec<Value> {
        let query = json!({ "nodeId": document, "selector": selector });
        let found = self.ask("DOM.querySelectorAll", query).await["nodeIds"].as_array().unwrap().clone();
        assert!(!found.is_empty(), "no {selector} on the page");
        found
    }

    async fn boxes(&mut self, document: &Value, selector: &str) -> Vec<Place> {
        let mut places = Vec::new();
        for node in self.find(document, selector).await {
            let model = self.ask("DOM.getBoxModel", json!({ "nodeId": node })).await;
            // Four corners, clockwise from the upper left.
            let at = |n: usize| model["model"]["border"][n].as_f64().unwrap();
            places.push(Place { left: at(0), top: at(1), right: at(4), bottom: at(5) });
        }
        places
    }

    /// Computed style of the first element that fits.
    async fn style(&mut self, document: &Value, selector: &str, property: &str) -> String {
        let node = self.find(document, selector).await[0].clone();
        let style = self.ask("CSS.getComputedStyleForNode", json!({ "nodeId": node })).await;
        let properties = style["computedStyle"].as_array().unwrap();
        let found = properties.iter().find(|style| style["name"] == property);
        found.unwrap_or_else(|| panic!("no {property}"))["value"].as_str().unwrap().to_owned()
    }

    async fn px(&mut self, document: &Value, selector: &str, property: &str) -> f64 {
        self.style(document, selector, property).await.trim_end_matches("px").parse().unwrap()
    }

    async fn document(&mut self) -> Value {
        self.ask("DOM.getDocument", json!({})).await["root"]["nodeId"].clone()
    }

    async fn count(&mut self, selector: &str) -> usize {
        let document = self.document().await;
        self.find(&document, selector).await.len()
    }

    /// Sends one command and waits for its answer; events on the way are passed over.
    async fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut message = json!({ "id": self.asked, "method": method, "params": parameters });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.input.write_all(format!("{message}\0").as_bytes()).await.unwrap();
        loop {
            let mut answer = self.hear().await;
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// The next message. They end with a zero byte.
    async fn hear(&mut self) -> Value {
        let mut bytes = Vec::new();
        let n = timeout(DEADLINE, self.output.read_until(0, &mut bytes))
            .await
            .expect("chromium answers")
            .unwrap();
        assert!(n > 0, "chromium ended: is the Debian package chromium installed?");
        serde_json::from_slice(&bytes[..n - 1]).expect("DevTools speaks JSON")
    }
}

/// RFC 4648, as far as DevTools needs it.
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut n_bits) = (Vec::with_capacity(text.len()), 0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let six = ALPHABET.iter().position(|known| *known == letter).expect("a letter of base64");
        bits = bits << 6 | u32::try_from(six).unwrap();
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push(u8::try_from(bits >> n_bits & 0xff).unwrap());
        }
    }
    bytes
}

/// The first field of the first chunk.
fn png_width(picture: &[u8]) -> f64 {
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"), "no PNG");
    f64::from(u32::from_be_bytes(picture[16..20].try_into().unwrap()))
}
