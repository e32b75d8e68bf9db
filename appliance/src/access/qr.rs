//! The claim's address as a QR code, for a page and for a console.
//!
//! The claim code is the address's fragment: a browser never sends it, so it is in no log.

use qrcode::render::{svg, unicode::Dense1x2};
use qrcode::{EcLevel, QrCode};

/// Where to claim: `https://host:port/claim#CODE`.
pub fn claim_address(host_and_port: &str, code: &str) -> String {
    format!("https://{host_and_port}/claim#{code}")
}

/// As an SVG image, dark on light with its quiet zone; none if the text is too long.
pub fn svg(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    Some(code.render::<svg::Color<'_>>().min_dimensions(200, 200).build())
}

/// As lines of half blocks, light on dark as consoles are; none if the text is too long.
pub fn blocks(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    // Consoles are dark: the blocks are what is light.
    Some(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_as_wide_as_it_is_high_and_has_its_quiet_zone() {
        let text = blocks(&claim_address("rakkr-4f2a.local:8443", "ABCD2345")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert!(width.abs_diff(lines.len() * 2) <= 1);
        assert!(lines[0].chars().all(|block| block == '█'), "{text}");
    }

    #[test]
    fn a_page_gets_an_image_without_script_or_style() {
        let image = svg("https://rakkr.local:8443/claim#ABCD2345").unwrap();
        assert!(image.contains("<svg") && image.ends_with("</svg>"));
        assert!(!image.contains("style=") && !image.contains("<script"));
    }

    #[test]
    fn what_does_not_fit_is_none() {
        assert_eq!(svg(&"x".repeat(5_000)), None);
    }
}
