//! Slips, and what the crate says to each: the rows of the table in docs/doors.md, written to the
//! file that MARTLET_SLIPS names. scripts/test-doors holds the table against them.
use martlet::*;
use std::fmt::Write;

const DIGITS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../Examples/models/digits.onnx"
);

#[test]
fn every_slip_has_its_message() {
    let mut rows = String::new();
    // A row of the table: the call, and what it returns.
    macro_rules! slip {
        ($call:expr) => {
            let error = $call.err().expect(stringify!($call));
            // rustc breaks long expressions into lines.
            let call = stringify!($call)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            writeln!(rows, "| `{call}` | {:?}: {error} |", error.status()).unwrap();
        };
    }
    let model = Model::load(DIGITS).unwrap();
    let x = Tensor::zeros(DType::Float32, &[1, 1, 8, 8]).unwrap();
    let mut pixels = [0.0f32; 63];
    let constants = [0.0f32; 64];
    let memory = b"not a model";

    slip!(set_float32_fast_math_mode("BF61"));
    slip!(set_num_threads(-1));
    slip!(Model::load("nowhere.onnx"));
    slip!(Model::load("/"));
    slip!(Model::load("digits\0.onnx"));
    slip!(Model::from_bytes(&[]));
    slip!(Model::from_bytes(memory));
    slip!(LoadOptions::new().math_mode("BF61").load(DIGITS));
    slip!(LoadOptions::new().option("threads", "2").load(DIGITS));
    slip!(LoadOptions::new()
        .option("borrow_memory", "1")
        .load_bytes(memory));

    slip!(Tensor::from_slice(&pixels, &[1, 1, 8, 8]));
    slip!(Tensor::borrow(&pixels, &[1, 1, 8, 8]));
    slip!(Tensor::borrow_strided(&pixels, &[7, 9], &[9], 0));
    slip!(Tensor::from_slice(&pixels, &[-1, 63]));
    slip!(Tensor::from_strings(&["a", "b"], &[3]));
    slip!(Tensor::from_bytes(&[0; 4], DType::String, &[1]));
    slip!(x.to_vec::<f64>());
    slip!(x.as_slice::<i64>());
    slip!(x.read_into(&mut pixels));
    let column = Tensor::borrow_strided(&constants, &[8], &[8], 0).unwrap();
    slip!(column.as_slice::<f32>());

    slip!(model.run(&[&x, &x]));
    let integers = Tensor::zeros(DType::Int64, &[1, 1, 8, 8]).unwrap();
    slip!(model.run(&[&integers]));
    let flat = Tensor::zeros(DType::Float32, &[1, 64]).unwrap();
    slip!(model.run(&[&flat]));
    slip!(model.run_named(&[("imag", &x)], &[]));
    slip!(model.run_named(&[], &[]));
    slip!(model.run_named(&[("image", &x), ("image", &x)], &[]));
    slip!(model.run_named(&[("image", &x)], &["scores"]));
    let outputs = model.run_named(&[("image", &x)], &[]).unwrap();
    slip!(outputs.get("scores"));
    let mut context = Context::new(&model).unwrap();
    slip!(context.precision_report());
    slip!(context.set_option("max_milliseconds", "soon"));
    let mut slot = TensorMut::borrow(&mut pixels, &[10]).unwrap();
    slip!(context.run_into(&[&x], &mut [&mut slot]));

    slip!(op_run("Softmax", &[Some(&x)], &[("axes", 1.into())], 1));
    slip!(op_run("Softmax", &[Some(&x)], &[("axis", 4.into())], 1));
    let long = Tensor::borrow(&constants, &[64]).unwrap();
    slip!(matmul(&x, &long));

    if let Some(path) = std::env::var_os("MARTLET_SLIPS") {
        std::fs::write(path, rows).unwrap();
    }
}
