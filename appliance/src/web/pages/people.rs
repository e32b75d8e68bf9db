//! stub
pub async fn show() {}
pub async fn act_one() {}
pub async fn act_two() {}
pub async fn token_one() {}
pub async fn token_two() {}
pub async fn session() {}
