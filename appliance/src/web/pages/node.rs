//! stub
pub async fn show() {}
pub async fn act() {}
pub(super) fn pieces(
    _: &crate::web::App,
    _: &crate::web::caller::Caller,
    _: &mut super::Pieces,
) -> Result<(), crate::web::Problem> {
    Ok(())
}
