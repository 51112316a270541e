//! Every type and function of the crate, on a model and beside one.
use martlet::*;

const DIGITS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../Examples/models/digits.onnx"
);

fn status_of<T>(result: Result<T>) -> Option<Status> {
    let error = result.err()?;
    // What a message is made of is in it.
    let parts = [
        error.node(),
        error.operator_name(),
        error.input(),
        error.expected(),
        error.actual(),
    ];
    for part in parts.into_iter().flatten() {
        assert!(error.message().contains(part), "{error} lacks {part}");
    }
    assert!(!error.to_string().is_empty());
    Some(error.status())
}

fn stroke() -> Tensor<'static> {
    let mut image = vec![0.0f32; 64];
    for row in image.chunks_mut(8) {
        row[3..5].fill(1.0);
    }
    Tensor::from_vec(image, &[1, 1, 8, 8]).unwrap()
}

fn scores(outputs: Result<Vec<Tensor<'_>>>) -> Vec<f32> {
    outputs.unwrap()[0].to_vec().unwrap()
}

#[test]
fn crate_and_library_have_one_version() {
    assert_eq!(version_string(), env!("CARGO_PKG_VERSION"));
    assert!(version() >= 100);
    assert!(!cpu_name().is_empty() && !cpu_isa().is_empty());
    assert!(cpu_features().len() < 10_000);
    assert_eq!(status_of(set_isa("quantum")), Some(Status::NotFound));
    assert_eq!(status_of(set_isa("a\0b")), Some(Status::InvalidArgument));
}

#[test]
fn an_error_is_a_std_error_with_its_parts() {
    let error = set_float32_fast_math_mode("BF61").unwrap_err();
    assert_eq!(error.status(), Status::NotFound);
    assert!(error.actual().unwrap().contains("BF61") && error.expected().unwrap().contains("BF16"));
    assert_eq!(
        (error.node(), error.operator_name(), error.input()),
        (None, None, None)
    );
    let boxed: Box<dyn std::error::Error + Send + Sync> = error.clone().into();
    assert_eq!(boxed.to_string(), error.message());
}

#[test]
fn modes_hold_for_a_call_also_where_it_panics() {
    let before = float32_fast_math_mode();
    let inner = with_math_mode(MathMode::Any, || {
        with_math_mode(MathMode::Bf16, float32_fast_math_mode).unwrap()
    });
    assert_eq!(inner, Ok(MathMode::Bf16));
    let panicked = std::panic::catch_unwind(|| with_math_mode(MathMode::Tf32, || panic!("enough")));
    assert!(panicked.is_err());
    assert_eq!(float32_fast_math_mode(), before);
    fn deeper(depth: usize) -> Result<usize> {
        with_math_mode(MathMode::Fp32, || deeper(depth + 1)).unwrap_or(Ok(depth))
    }
    assert_eq!(deeper(0), Ok(64));
}

#[test]
fn threads_are_set_and_do_not_change_results() {
    let threads = num_threads();
    let model = Model::load(DIGITS).unwrap();
    let expected = scores(model.run(&[&stroke()]));
    set_num_threads(1).unwrap();
    assert_eq!(scores(model.run(&[&stroke()])), expected);
    set_num_threads(threads).unwrap();
    assert_eq!(
        status_of(set_num_threads(-1)),
        Some(Status::InvalidArgument)
    );
    let spin = spin_microseconds();
    set_spin_microseconds(spin).unwrap();
    assert_eq!(
        status_of(set_spin_microseconds(-1)),
        Some(Status::InvalidArgument)
    );
    assert!(memory_in_use() >= 0);
    trim().unwrap();
}

#[test]
fn a_tensor_says_what_it_is_like() {
    let tensor = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]).unwrap();
    assert_eq!(
        (tensor.dtype(), tensor.shape(), tensor.len()),
        (DType::Float32, &[2, 3][..], 6)
    );
    assert_eq!(tensor.strides().unwrap(), [3, 1]);
    assert_eq!(tensor.byte_count().unwrap(), 24);
    assert!(tensor.is_contiguous().unwrap() && !tensor.is_empty());
    assert_eq!(
        tensor.as_slice::<f32>().unwrap(),
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    );
    assert_eq!(format!("{tensor:?}"), "Tensor(float32[2, 3])");
    let scalar = Tensor::from_slice(&[2.5f64], &[]).unwrap();
    assert_eq!(
        (scalar.shape(), scalar.strides().unwrap()),
        (&[][..], &[][..])
    );
    assert_eq!(scalar.to_vec::<f64>().unwrap(), [2.5]);
    let clone = tensor.clone();
    drop(tensor);
    assert_eq!(clone.to_vec::<f32>().unwrap()[5], 6.0);
}

#[test]
fn elements_of_every_type_go_in_and_come_out() {
    fn there_and_back<T: Element + PartialEq + std::fmt::Debug>(elements: &[T]) {
        let shape = [elements.len() as i64];
        let copied = Tensor::from_slice(elements, &shape).unwrap();
        let taken = Tensor::from_vec(elements.to_vec(), &shape).unwrap();
        let borrowed = Tensor::borrow(elements, &shape).unwrap();
        for tensor in [&copied, &taken, &borrowed] {
            assert_eq!(tensor.dtype(), T::DTYPE);
            assert_eq!(tensor.as_slice::<T>().unwrap(), elements);
            assert_eq!(tensor.to_vec::<T>().unwrap(), elements);
        }
        assert_eq!(
            borrowed.as_slice::<T>().unwrap().as_ptr(),
            elements.as_ptr()
        );
        assert!(Tensor::from_vec(Vec::<T>::new(), &[0])
            .unwrap()
            .as_slice::<T>()
            .unwrap()
            .is_empty());
    }
    there_and_back(&[1.0f32, -0.0]);
    there_and_back(&[1.0f64]);
    there_and_back(&[-1i8, 1]);
    there_and_back(&[-1i16]);
    there_and_back(&[-1i32]);
    there_and_back(&[i64::MIN]);
    there_and_back(&[255u8]);
    there_and_back(&[1u16]);
    there_and_back(&[1u32]);
    there_and_back(&[u64::MAX]);
    there_and_back(&[true, false]);
    there_and_back(&[F16(0x3c00)]);
    there_and_back(&[BF16(0x4000)]);
    let two = Tensor::from_slice(&[BF16(0x4000)], &[1]).unwrap();
    assert_eq!(
        two.convert(DType::Float32)
            .unwrap()
            .to_vec::<f32>()
            .unwrap(),
        [2.0]
    );
    assert_eq!(
        two.convert(DType::BFloat16)
            .unwrap()
            .to_vec::<BF16>()
            .unwrap(),
        [BF16(0x4000)]
    );
}

#[test]
fn bool_is_read_as_bytes_or_where_all_are_0_or_1() {
    let tensor = Tensor::from_bytes(&[1, 0], DType::Bool, &[2]).unwrap();
    assert_eq!(tensor.as_slice::<bool>().unwrap(), [true, false]);
    assert_eq!(tensor.to_vec::<u8>().unwrap(), [1, 0]);
    let odd = Tensor::from_bytes(&[2, 0], DType::Bool, &[2]).unwrap();
    assert_eq!(
        status_of(odd.as_slice::<bool>()),
        Some(Status::InvalidArgument)
    );
    assert_eq!(
        status_of(odd.to_vec::<bool>()),
        Some(Status::InvalidArgument)
    );
    assert_eq!(odd.to_bytes().unwrap(), [2, 0]);
}

#[test]
fn strided_memory_is_borrowed_and_read() {
    let memory: Vec<i32> = (0..12).collect();
    let column = Tensor::borrow_strided(&memory, &[3], &[4], 2).unwrap();
    assert_eq!(column.to_vec::<i32>().unwrap(), [2, 6, 10]);
    assert!(!column.is_contiguous().unwrap());
    assert_eq!(
        status_of(column.as_slice::<i32>()),
        Some(Status::InvalidArgument)
    );
    assert_eq!(
        column.copy().unwrap().as_slice::<i32>().unwrap(),
        [2, 6, 10]
    );
    let backwards = Tensor::borrow_strided(&memory, &[12], &[-1], 11).unwrap();
    assert_eq!(backwards.to_vec::<i32>().unwrap()[0], 11);
    let repeated = Tensor::borrow_strided(&memory, &[1 << 40], &[0], 0).unwrap();
    assert_eq!(
        status_of(repeated.to_vec::<i32>()),
        Some(Status::OutOfMemory)
    );
    for (shape, strides, first) in [
        (&[3i64][..], &[4i64, 1][..], 0),
        (&[3], &[], 0),
        (&[13], &[1], 0),
        (&[12], &[1], 1),
        (&[1], &[1], usize::MAX),
        (&[2], &[-1], 0),
    ] {
        let wrong = Tensor::borrow_strided(&memory, shape, strides, first);
        assert_eq!(
            status_of(wrong),
            Some(Status::InvalidShape),
            "{shape:?} {strides:?} {first}"
        );
    }
}

#[test]
fn shapes_that_are_none_are_refused() {
    let six = [1.0f32; 6];
    let long = vec![1i64; 40];
    for shape in [&[5i64][..], &[-6], &[7], &[i64::MAX, i64::MAX], &long] {
        assert_eq!(
            status_of(Tensor::from_slice(&six, shape)),
            Some(Status::InvalidShape)
        );
    }
    for shape in [&[7i64][..], &[-6], &[i64::MAX, 4], &long] {
        assert_eq!(
            status_of(Tensor::borrow(&six, shape)),
            Some(Status::InvalidShape)
        );
        assert_eq!(
            status_of(Tensor::from_vec(six.to_vec(), shape)),
            Some(Status::InvalidShape)
        );
        assert_eq!(
            status_of(TensorMut::borrow(&mut six.clone(), shape)),
            Some(Status::InvalidShape)
        );
    }
    assert_eq!(
        status_of(Tensor::zeros(DType::Float32, &[-1])),
        Some(Status::InvalidShape)
    );
    assert_eq!(
        status_of(Tensor::zeros(DType::Unknown, &[1])),
        Some(Status::InvalidDType)
    );
    assert_eq!(
        Tensor::zeros(DType::Int32, &[2])
            .unwrap()
            .to_vec::<i32>()
            .unwrap(),
        [0, 0]
    );
    let mut room = [0.0f32; 5];
    let tensor = Tensor::from_slice(&six, &[6]).unwrap();
    assert_eq!(
        status_of(tensor.read_into(&mut room)),
        Some(Status::InvalidShape)
    );
    assert_eq!(
        status_of(tensor.read_into(&mut [0i64; 6])),
        Some(Status::InvalidDType)
    );
    let mut room = [0.0f32; 7];
    tensor.read_into(&mut room).unwrap();
    assert_eq!(room, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
}

#[test]
fn strings_are_elements() {
    let words = ["a", "b\0c", "ü"];
    let tensor = Tensor::from_strings(&words, &[3]).unwrap();
    assert_eq!(
        (tensor.dtype(), tensor.to_strings().unwrap()),
        (DType::String, words.map(String::from).to_vec())
    );
    assert_eq!(status_of(tensor.to_bytes()), Some(Status::InvalidDType));
    assert_eq!(status_of(stroke().to_strings()), Some(Status::InvalidDType));
    let nothing = Tensor::zeros(DType::Float32, &[0]).unwrap();
    assert_eq!(status_of(nothing.to_strings()), Some(Status::InvalidDType));
    assert!(Tensor::from_strings::<&str>(&[], &[0])
        .unwrap()
        .to_strings()
        .unwrap()
        .is_empty());
    let long = vec![1i64; 40];
    for shape in [
        &[2i64][..],
        &[4],
        &[-3],
        &[-3, 0],
        &[3, 0],
        &[i64::MAX, i64::MAX, 3],
        &long,
    ] {
        let wrong = Tensor::from_strings(&words, shape);
        assert_eq!(status_of(wrong), Some(Status::InvalidShape), "{shape:?}");
    }
    assert_eq!(
        status_of(Tensor::from_strings::<&str>(&[], &[-3, 0])),
        Some(Status::InvalidShape)
    );
}

#[test]
fn narrow_types_are_bytes() {
    let tensor = Tensor::from_bytes(&[0x21, 0x03], DType::Int4, &[3]).unwrap();
    assert_eq!(
        (DType::Int4.bits(), DType::Int4.name(), tensor.len()),
        (4, "int4", 3)
    );
    assert_eq!(
        tensor
            .convert(DType::Int32)
            .unwrap()
            .to_vec::<i32>()
            .unwrap(),
        [1, 2, 3]
    );
    assert_eq!(tensor.to_bytes().unwrap().len(), 2);
    assert_eq!(format!("{:>8}", DType::Int4), "    int4");
}

#[test]
fn functions_compute() {
    let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2]).unwrap();
    let ones = Tensor::from_slice(&[1.0f32, 1.0], &[2]).unwrap();
    let of = |tensor: Result<Tensor<'_>>| tensor.unwrap().to_vec::<f32>().unwrap();
    assert_eq!(of(matmul(&a, &a)), [7.0, 10.0, 15.0, 22.0]);
    assert_eq!(of(linear(&a, &a, Some(&ones))), [6.0, 12.0, 12.0, 26.0]);
    assert_eq!(
        of(linear(&a, &pack(&a).unwrap(), None)),
        [5.0, 11.0, 11.0, 25.0]
    );
    let image = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[1, 1, 2, 2]).unwrap();
    let kernel = Tensor::from_slice(&[1.0f32; 4], &[1, 1, 2, 2]).unwrap();
    assert_eq!(
        of(conv(&image, &kernel, None, &ConvOptions::default())),
        [10.0]
    );
    let options = ConvOptions {
        pads: vec![0, 0, 1, 1],
        strides: vec![2, 2],
        ..Default::default()
    };
    assert_eq!(of(conv(&image, &kernel, None, &options)), [10.0]);
    let wrong = ConvOptions {
        pads: vec![1],
        ..Default::default()
    };
    assert_eq!(
        status_of(conv(&image, &kernel, None, &wrong)),
        Some(Status::InvalidArgument)
    );
    assert_eq!(
        status_of(conv(&image, &a, None, &options)),
        Some(Status::InvalidShape)
    );
    assert_eq!(of(softmax(&ones, 0)), [0.5, 0.5]);
    let pair = Tensor::from_slice(&[-1.0f32, 1.0], &[2]).unwrap();
    assert_eq!(
        of(layer_norm(&pair, None, Some(&ones), -1, 0.0)),
        [0.0, 2.0]
    );
    assert_eq!(
        of(gelu(&Tensor::zeros(DType::Float32, &[1]).unwrap(), true)),
        [0.0]
    );
    let value = Tensor::from_slice(&[1.0f32; 4], &[2, 2]).unwrap();
    assert_eq!(of(attention(&a, &a, &value, None, 0.0, false)), [1.0; 4]);
    assert_eq!(status_of(matmul(&a, &stroke())), Some(Status::InvalidShape));
    assert_eq!(status_of(softmax(&a, 2)), Some(Status::InvalidShape));
}

#[test]
fn operators_run_by_name() {
    let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[2, 2]).unwrap();
    let two = Tensor::from_slice(&[2.0f32], &[]).unwrap();
    let of = |results: Result<Vec<Tensor<'_>>>, index: usize| {
        results.unwrap()[index].to_vec::<f32>().unwrap()
    };
    let split = op_run(
        "Split",
        &[Some(&a)],
        &[("axis", 1.into()), ("num_outputs", 2.into())],
        2,
    );
    assert_eq!(of(split, 1), [2.0, 4.0]);
    assert_eq!(
        of(op_run("Clip", &[Some(&a), None, Some(&two)], &[], 1), 0),
        [1.0, 2.0, 2.0, 2.0]
    );
    assert_eq!(
        of(
            op_run("Constant", &[], &[("value", a.clone().into())], 1),
            0
        )
        .len(),
        4
    );
    assert_eq!(
        of(
            op_run("Constant", &[], &[("value_float", 0.5.into())], 1),
            0
        ),
        [0.5]
    );
    let floats = [("value_floats", vec![0.5, 1.0].into())];
    assert_eq!(of(op_run("Constant", &[], &floats, 1), 0), [0.5, 1.0]);
    let ints = [("value_ints", vec![3i64].into())];
    assert_eq!(
        op_run("Constant", &[], &ints, 1).unwrap()[0]
            .to_vec::<i64>()
            .unwrap(),
        [3]
    );
    let texts = [("value_strings", vec!["x".to_owned(), "y".to_owned()].into())];
    assert_eq!(
        op_run("Constant", &[], &texts, 1).unwrap()[0]
            .to_strings()
            .unwrap()[1],
        "y"
    );
    let text = [("value_string", "z".into())];
    assert_eq!(
        op_run("Constant", &[], &text, 1).unwrap()[0]
            .to_strings()
            .unwrap(),
        ["z"]
    );
    assert!(operators().count() > 100 && operators().any(|name| name == "Softmax"));

    let run = |name: &str, attributes: &[(&str, Attribute<'static>)], count| {
        status_of(op_run(name, &[Some(&a)], attributes, count))
    };
    assert_eq!(run("Sotfmax", &[], 1), Some(Status::NotFound));
    assert_eq!(
        run("Softmax", &[("axes", 1.into())], 1),
        Some(Status::NotFound)
    );
    assert_eq!(run("Softmax", &[], 0), Some(Status::InvalidArgument));
    assert_eq!(
        run("Softmax", &[], usize::MAX),
        Some(Status::InvalidArgument)
    );
    assert_eq!(run("Soft\0max", &[], 1), Some(Status::InvalidArgument));
    assert_eq!(
        run("Softmax", &[("a\0", 1.into())], 1),
        Some(Status::InvalidArgument)
    );
    assert_eq!(
        status_of(op_run("Softmax", &[], &[], 1)),
        Some(Status::InvalidArgument)
    );
}

#[test]
fn a_view_keeps_the_memory_of_what_it_is_a_view_of() {
    let view = {
        let owned = Tensor::from_vec(vec![1.0f32, 2.0], &[2]).unwrap();
        let shape = Tensor::from_slice(&[1i64, 2], &[2]).unwrap();
        op_run("Reshape", &[Some(&owned), Some(&shape)], &[], 1)
            .unwrap()
            .remove(0)
    };
    assert_eq!(
        (view.shape(), view.to_vec::<f32>().unwrap()),
        (&[1, 2][..], vec![1.0, 2.0])
    );
}

#[test]
fn a_model_says_what_it_takes_and_gives() {
    let model = Model::load(DIGITS).unwrap();
    let inputs = model.inputs().unwrap();
    assert_eq!(inputs.len(), 1);
    assert_eq!(
        (inputs[0].name.as_str(), inputs[0].dtype),
        ("image", DType::Float32)
    );
    assert_eq!(inputs[0].shape, Some(vec![None, Some(1), Some(8), Some(8)]));
    assert_eq!(inputs[0].symbols, ["batch", "", "", ""]);
    assert_eq!(
        (inputs[0].kind, inputs[0].text.as_str()),
        (ValueKind::Tensor, "float32[batch, 1, 8, 8]")
    );
    assert_eq!(model.outputs().unwrap()[0].name, "probabilities");
    assert!(model.replaceable().unwrap().is_empty());
    assert!(model
        .metadata()
        .unwrap()
        .contains(&("graph".to_owned(), "digits".to_owned())));
    assert!(model.memory().unwrap().constants_bytes > 0);
    assert!(model.result_bytes(&[&[1, 1, 8, 8]]).unwrap() > Some(0));
    assert_eq!(
        status_of(model.result_bytes(&[])),
        Some(Status::InvalidArgument)
    );
    assert_eq!(
        status_of(model.result_bytes(&[&[1, 64]])),
        Some(Status::InvalidShape)
    );
    assert_eq!(
        format!("{model:?}"),
        "Model { inputs: [\"image: float32[batch, 1, 8, 8]\"], \
         outputs: [\"probabilities: float32[batch, 10]\"] }"
    );
}

#[test]
fn a_model_runs_in_order_and_by_name() {
    let model = Model::load(DIGITS).unwrap();
    let expected = scores(model.run(&[&stroke()]));
    assert!(expected[1] > 0.9);
    let named = model
        .run_named(&[("image", &stroke())], &["probabilities"])
        .unwrap();
    let all = model.run_named(&[("image", &stroke())], &[]).unwrap();
    assert_eq!(
        named.get("probabilities").unwrap().to_vec::<f32>().unwrap(),
        expected
    );
    assert_eq!(
        (all.len(), all.is_empty(), all.iter().next().unwrap().0),
        (1, false, "probabilities")
    );
    assert_eq!(status_of(all.get("scores")), Some(Status::NotFound));
    assert_eq!(
        all.into_iter().next().unwrap().1.to_vec::<f32>().unwrap(),
        expected
    );
    let bytes = std::fs::read(DIGITS).unwrap();
    assert_eq!(
        scores(Model::from_bytes(&bytes).unwrap().run(&[&stroke()])),
        expected
    );
    static BYTES: &[u8] = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../Examples/models/digits.onnx"
    ));
    assert_eq!(
        scores(Model::from_static(BYTES).unwrap().run(&[&stroke()])),
        expected
    );
    model.trim().unwrap();
}

#[test]
fn a_model_runs_on_several_threads_at_once() {
    let model = Model::load(DIGITS).unwrap();
    let input = stroke();
    let expected = scores(model.run(&[&input]));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(scores(model.clone().run(&[&input])), expected));
        }
    });
    let mut context = Context::new(&model).unwrap();
    let elsewhere = std::thread::spawn(move || scores(context.run(&[&stroke()])));
    assert_eq!(elsewhere.join().unwrap(), expected);
}

#[test]
fn options_of_a_load_are_kept_and_refused() {
    let pool = Pool::new(1, &[]).unwrap();
    assert_eq!(pool.clone().thread_count(), Ok(1));
    assert_eq!(
        status_of(Pool::new(5000, &[])),
        Some(Status::InvalidArgument)
    );
    let mut told = Vec::new();
    let model = LoadOptions::new()
        .math_mode("FP32")
        .option("winograd", "0")
        .pool(&pool)
        .progress(|fraction, stage| {
            told.push((fraction, stage.to_owned()));
            true
        })
        .load(DIGITS)
        .unwrap();
    assert!(scores(model.run(&[&stroke()]))[1] > 0.9);
    assert!(
        !told.is_empty()
            && told
                .iter()
                .all(|(fraction, _)| (0.0..=1.0).contains(fraction))
    );
    let cancelled = LoadOptions::new().progress(|_, _| false).load(DIGITS);
    assert_eq!(status_of(cancelled), Some(Status::Cancelled));
    let panicked = std::panic::catch_unwind(|| {
        LoadOptions::new()
            .progress(|_, _| panic!("enough"))
            .load(DIGITS)
    });
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"enough"));
    let option = |name, value| status_of(LoadOptions::new().option(name, value).load(DIGITS));
    assert_eq!(option("wingrad", "0"), Some(Status::NotFound));
    assert_eq!(option("winograd", "yes"), Some(Status::InvalidArgument));
    assert_eq!(option("winograd", "\0"), Some(Status::InvalidArgument));
    let bytes = std::fs::read(DIGITS).unwrap();
    let borrowed = LoadOptions::new()
        .option("borrow_memory", "1")
        .load_bytes(&bytes);
    assert_eq!(status_of(borrowed), Some(Status::InvalidArgument));
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::OsStr::from_bytes(b"\xff.onnx");
    assert_eq!(status_of(Model::load(path)), Some(Status::InvalidArgument));
}

#[test]
fn a_context_writes_to_the_callers_memory() {
    let mut context = Context::new(&Model::load(DIGITS).unwrap()).unwrap();
    let expected = scores(context.run(&[&stroke()]));
    let mut memory = [0.0f32; 12];
    {
        let mut slot = TensorMut::borrow(&mut memory, &[1, 10]).unwrap();
        assert_eq!((slot.dtype(), slot.shape()), (DType::Float32, &[1, 10][..]));
        for _ in 0..3 {
            context.run_into(&[&stroke()], &mut [&mut slot]).unwrap();
            assert_eq!(slot.as_slice::<f32>().unwrap(), expected);
        }
        assert_eq!(format!("{slot:?}"), "TensorMut(float32[1, 10])");
    }
    assert_eq!(memory[..10], expected);
    assert_eq!(memory[10..], [0.0, 0.0]);
    let mut wrong = TensorMut::borrow(&mut memory, &[12]).unwrap();
    let refused = context.run_into(&[&stroke()], &mut [&mut wrong]);
    assert_eq!(status_of(refused), Some(Status::InvalidShape));
    assert_eq!(
        status_of(context.run_into(&[&stroke()], &mut [])),
        Some(Status::InvalidArgument)
    );
}

#[test]
fn a_context_reports_and_obeys() {
    let mut context = Context::new(&Model::load(DIGITS).unwrap()).unwrap();
    assert_eq!(
        status_of(context.precision_report()),
        Some(Status::InvalidState)
    );
    assert!(context.nodes().unwrap().is_empty());
    context.set_profiling(true).unwrap();
    let expected = scores(context.run(&[&stroke()]));
    let nodes = context.nodes().unwrap();
    assert_eq!(nodes.len(), 7);
    assert!(nodes[0].precision.is_some() && nodes.iter().any(|node| node.kernel.is_none()));
    assert!(context.precision_report().unwrap().contains("mode"));
    assert!(context.profile().unwrap().contains("Conv"));
    assert!(context.memory().unwrap().peak_bytes > 0);
    context.trim().unwrap();
    assert_eq!(context.memory().unwrap().kept_bytes, 0);

    let told = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = told.clone();
    context
        .set_progress(move |_, stage| {
            assert_eq!(stage, "run");
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            true
        })
        .unwrap();
    context.run(&[&stroke()]).unwrap();
    assert!(told.load(std::sync::atomic::Ordering::Relaxed) > 0);
    context.set_progress(|_, _| false).unwrap();
    assert_eq!(
        status_of(context.run(&[&stroke()])),
        Some(Status::Cancelled)
    );
    context.set_progress(|_, _| panic!("enough")).unwrap();
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| context.run(&[&stroke()])));
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"enough"));
    context.clear_progress().unwrap();
    assert_eq!(scores(context.run(&[&stroke()])), expected);

    context.set_option("max_memory_bytes", "1").unwrap();
    assert_eq!(
        status_of(context.run(&[&stroke()])),
        Some(Status::LimitExceeded)
    );
    context.set_option("max_memory_bytes", "0").unwrap();
    assert_eq!(
        status_of(context.set_option("optimize", "0")),
        Some(Status::NotFound)
    );
    context.set_pool(Some(&Pool::new(1, &[]).unwrap())).unwrap();
    assert_eq!(scores(context.run(&[&stroke()])), expected);
    context.set_pool(None).unwrap();
    let value = Value::from_tensor(&stroke()).unwrap();
    let results = context.run_values(&[&value]).unwrap();
    assert_eq!(
        results[0].tensor().unwrap().to_vec::<f32>().unwrap(),
        expected
    );
    assert_eq!(
        status_of(context.run_values(&[])),
        Some(Status::InvalidArgument)
    );
}

#[test]
fn values_hold_values() {
    let one = Value::from_tensor(&Tensor::from_slice(&[1.0f32], &[1]).unwrap()).unwrap();
    let two = Value::from_tensor(&Tensor::from_slice(&[1.0f32, 2.0], &[2]).unwrap()).unwrap();
    let sequence = Value::sequence(&[&one, &two], DType::Unknown).unwrap();
    assert_eq!(
        (sequence.kind(), sequence.count()),
        (Ok(ValueKind::Sequence), Ok(2))
    );
    assert_eq!(sequence.get(1).unwrap().tensor().unwrap().len(), 2);
    assert_eq!(Value::sequence(&[], DType::Int64).unwrap().count(), Ok(0));
    assert_eq!(Value::optional(None).unwrap().count(), Ok(0));
    let optional = Value::optional(Some(&one)).unwrap();
    drop(one);
    assert_eq!(
        optional.clone().get(0).unwrap().kind(),
        Ok(ValueKind::Tensor)
    );
    let keys = Tensor::from_strings(&["a", "b"], &[2]).unwrap();
    let map = Value::map(&keys, &[&two, &two]).unwrap();
    assert_eq!(map.keys().unwrap().to_strings().unwrap(), ["a", "b"]);
    let state = Value::state(&Tensor::zeros(DType::Float32, &[2, 1, 3]).unwrap(), 1, 8).unwrap();
    assert_eq!(
        (state.kind(), state.tensor().unwrap().len()),
        (Ok(ValueKind::State), 6)
    );
    assert_eq!(format!("{sequence:?}"), "Value(Sequence of 2)");
    assert_eq!(format!("{two:?}"), "Value(Tensor(float32[2]))");

    assert_eq!(status_of(sequence.get(2)), Some(Status::InvalidArgument));
    assert_eq!(status_of(sequence.tensor()), Some(Status::InvalidArgument));
    assert_eq!(status_of(two.keys()), Some(Status::InvalidArgument));
    let mixed = Value::sequence(&[&two, &sequence], DType::Unknown);
    assert_eq!(status_of(mixed), Some(Status::InvalidDType));
    assert_eq!(
        status_of(Value::map(&keys, &[&two])),
        Some(Status::InvalidShape)
    );
    let nothing = Tensor::zeros(DType::Float32, &[1]).unwrap();
    assert_eq!(
        status_of(Value::state(&nothing, 1, 8)),
        Some(Status::InvalidArgument)
    );
}

/// Tests/Doors/write_models.py says what is in them.
const GROW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Tests/Doors/grow.onnx");
const MANY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Tests/Doors/many.onnx");

#[test]
fn names_may_be_in_any_order() {
    let grow = Model::load(GROW).unwrap();
    let past = Tensor::from_slice(&[1.0f32, 2.0], &[1, 1, 2]).unwrap();
    let x = Tensor::from_slice(&[3.0f32, 4.0], &[1, 1, 2]).unwrap();
    let b = Tensor::from_slice(&[0.0f32, 1.0], &[2]).unwrap();
    let outputs = grow.outputs().unwrap();
    assert_eq!(
        (outputs[1].kind, &outputs[1].shape),
        (ValueKind::Sequence, &None)
    );
    assert_eq!(grow.replaceable().unwrap()[0].name, "b");
    let numbers =
        |results: &NamedTensors, name| results.get(name).unwrap().to_vec::<f32>().unwrap();
    let usual = grow
        .run_named(&[("x", &x), ("past", &past)], &["z", "y"])
        .unwrap();
    assert_eq!(
        usual.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["z", "y"]
    );
    assert_eq!(numbers(&usual, "z"), [13.0, 24.0]);
    assert_eq!(numbers(&usual, "y"), [1.0, 2.0, 3.0, 4.0]);
    let replaced = grow
        .run_named(&[("x", &x), ("b", &b), ("past", &past)], &["z"])
        .unwrap();
    assert_eq!(numbers(&replaced, "z"), [3.0, 5.0]);

    let run = |inputs: &[(&str, &Tensor<'_>)], outputs: &[&str]| {
        status_of(grow.run_named(inputs, outputs))
    };
    assert_eq!(
        run(&[("x", &x), ("past", &past)], &["z", "b"]),
        Some(Status::NotFound)
    );
    assert_eq!(
        run(&[("x", &x), ("x", &x)], &["z"]),
        Some(Status::InvalidArgument)
    );
    assert_eq!(run(&[("x", &x)], &["z"]), Some(Status::InvalidArgument));
    assert_eq!(
        run(&[("x", &x), ("past", &past), ("c", &b)], &["z"]),
        Some(Status::NotFound)
    );
    assert!(run(&[("x", &x), ("past", &past)], &["s"]).is_some());

    let numbers: Vec<f32> = (0..65).map(|number| number as f32).collect();
    let many = Model::load(MANY).unwrap();
    let x = Tensor::borrow(&numbers, &[65]).unwrap();
    let each = many.run_named(&[("x", &x)], &[]).unwrap();
    assert_eq!(each.len(), 65);
    assert_eq!(each.get("y64").unwrap().to_vec::<f32>().unwrap(), [64.0]);
    assert_eq!(many.run_named(&[("x", &x)], &["y3"]).unwrap().len(), 1);
}

#[test]
fn a_state_grows_and_a_sequence_is_given() {
    let mut context = Context::new(&Model::load(GROW).unwrap()).unwrap();
    let numbers = [3.0f32, 4.0];
    let step = Value::from_tensor(&Tensor::borrow(&numbers, &[1, 1, 2]).unwrap()).unwrap();
    let past = Tensor::from_slice(&[1.0f32, 2.0], &[1, 1, 2]).unwrap();
    let mut cache = Value::state(&past, 1, 8).unwrap();
    let first = cache.tensor().unwrap();
    for length in 2..12 {
        let mut results = context.run_values(&[&cache, &step]).unwrap();
        let sequence = &results[1];
        assert_eq!(sequence.count(), Ok(2));
        assert_eq!(
            sequence
                .get(1)
                .unwrap()
                .tensor()
                .unwrap()
                .to_vec::<f32>()
                .unwrap(),
            numbers
        );
        cache = results.swap_remove(0);
        assert_eq!(cache.kind(), Ok(ValueKind::State));
        assert_eq!(cache.tensor().unwrap().shape(), [1, length, 2]);
    }
    assert_eq!(first.to_vec::<f32>().unwrap(), [1.0, 2.0]);
    let sequence = Value::sequence(&[&step], DType::Unknown).unwrap();
    let wrong = context.run_values(&[&cache, &sequence]);
    assert_eq!(status_of(wrong), Some(Status::InvalidArgument));
}

#[test]
fn a_value_lives_as_long_as_what_it_borrows() {
    let numbers = [1.0f32, 2.0];
    let value = Value::from_tensor(&Tensor::borrow(&numbers, &[2]).unwrap()).unwrap();
    let sequence = Value::sequence(&[&value], DType::Unknown).unwrap();
    drop(value);
    let element = sequence.get(0).unwrap().tensor().unwrap();
    assert_eq!(
        element.as_slice::<f32>().unwrap().as_ptr(),
        numbers.as_ptr()
    );
}
