//! Classifies a handwritten digit with BF16 on: Examples/models/digits.onnx is the model.
//!
//!     cargo run --example digits -- ../../Examples/models/digits.onnx
use martlet::{Model, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: digits MODEL")?;
    martlet::set_float32_fast_math_mode("BF16")?;
    let model = Model::load(path)?;

    let mut image = [0.0f32; 8 * 8];
    for row in image.chunks_mut(8) {
        row[3..5].fill(1.0); // a thick stroke: 1
    }
    // The image where it lies, without a copy; several go by a first extent of more than 1.
    let input = Tensor::borrow(&image, &[1, 1, 8, 8])?;
    let outputs = model.run_named(&[("image", &input)], &["probabilities"])?;
    let scores = outputs.get("probabilities")?.to_vec::<f32>()?;
    let best = (0..scores.len())
        .max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
        .unwrap_or(0);
    println!("it is a {best}, with probability {:.2}", scores[best]);
    Ok(())
}
