//! stub
pub async fn show() {}
