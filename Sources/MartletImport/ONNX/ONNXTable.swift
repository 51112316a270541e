import MartletCore
import MartletOperators

/// How one operator of a domain becomes nodes of Martlet's graph.
struct ONNXEntry: Sendable {
  typealias Conversion =
    @Sendable (inout ONNXConverter, ImportedNode) throws(MartletError) -> Void

  let op: OperatorID
  /// The operator that its nodes become.
  let target: OperatorID
  /// Whether older forms, or the newest too, are made into others.
  let isRewritten: Bool
  /// What is refused of the operator, for docs/operators.md; empty: nothing that its line can say.
  let refused: String
  let convert: Conversion

  /// An operator whose older forms read like its newest, but for attributes that mean nothing.
  static func same(
    _ name: String, domain: String = "", dropping attributes: String..., refusing: String = ""
  ) -> ONNXEntry {
    let op = OperatorID(name, domain: domain)
    return ONNXEntry(op: op, target: op, isRewritten: false, refused: refusing) {
      converter, node throws(MartletError) in
      let kept = node.attributes.filter { !attributes.contains($0.key) }
      try converter.emit(op, node.inputs, kept, for: node)
    }
  }

  static func renamed(_ name: String, domain: String = "", _ newName: String) -> ONNXEntry {
    let new = OperatorID(newName, domain: domain)
    let op = OperatorID(name, domain: domain)
    return ONNXEntry(op: op, target: new, isRewritten: false, refused: "") {
      converter, node throws(MartletError) in
      try converter.emit(new, node.inputs, node.attributes, for: node)
    }
  }

  /// `target`: the operator that it becomes, where that has another name.
  static func rewritten(
    _ name: String, domain: String = "", as target: String? = nil, refusing: String = "",
    _ convert: @escaping Conversion
  ) -> ONNXEntry {
    ONNXEntry(
      op: OperatorID(name, domain: domain), target: OperatorID(target ?? name, domain: domain),
      isRewritten: true, refused: refusing, convert: convert)
  }
}

/// The operators that files may use, one line each, those of other domains than ONNX's own with their
/// domain. Whether Martlet has the operator that an entry asks for is
/// OperatorTable's to say.
///
/// Source: github.com/onnx/onnx, docs/Operators.md and docs/Changelog.md.
enum ONNXTable {
  static let all = onnx + machineLearning + microsoft

  private static let onnx: [ONNXEntry] = [
    .same("Abs"),
    .same("Acos"),
    .same("Acosh"),
    .rewritten("Add", LegacyBroadcast.convert),
    .same("AffineGrid"),
    .rewritten("And", LegacyBroadcast.convert),
    .same("ArgMax"),
    .same("ArgMin"),
    .same("Asin"),
    .same("Asinh"),
    .same("Atan"),
    .same("Atanh"),
    .same("Attention"),
    .same("AveragePool", refusing: "more than 3 spatial axes"),
    .rewritten(
      "BatchNormalization", refusing: "`spatial` = 0, saved_mean and saved_var before 14",
      BatchNormalizationForms.convert),
    .same("Bernoulli"),
    .same("BitCast"),
    .same("BitShift"),
    .same("BitwiseAnd"),
    .same("BitwiseNot"),
    .same("BitwiseOr"),
    .same("BitwiseXor"),
    .same("BlackmanWindow"),
    .rewritten("Cast", refusing: "complex numbers", CastForms.convert),
    .same("CastLike"),
    .rewritten("CausalConvWithState", as: "Conv", CausalConvWithStateForms.convert),
    .same("Ceil"),
    .same("Celu"),
    .same("CenterCropPad"),
    .rewritten("Clip", ClipForms.convert),
    .same("Col2Im"),
    .same("Compress"),
    .same("Concat"),
    .same("ConcatFromSequence"),
    .rewritten("Constant", ConstantForms.convert),
    .same("ConstantOfShape"),
    .same("Conv", refusing: "more than 3 spatial axes"),
    .same("ConvInteger", refusing: "more than 3 spatial axes"),
    .same("ConvTranspose", refusing: "more than 3 spatial axes"),
    .same("Cos"),
    .same("Cosh"),
    .same("CumProd"),
    .same("CumSum"),
    .same("DeformConv", refusing: "more than 3 spatial axes"),
    .same("DepthToSpace"),
    .same("DequantizeLinear", refusing: "zero points of float8 that are not 0"),
    .same("Det"),
    .rewritten("DFT", DFTForms.convert),
    .rewritten("Div", LegacyBroadcast.convert),
    .rewritten("Dropout", DropoutForms.convert),
    .same("DynamicQuantizeLinear"),
    .same("Einsum"),
    .same("Elu", dropping: "consumed_inputs"),
    .rewritten("Equal", LegacyBroadcast.convert),
    .same("Erf"),
    .same("Exp", dropping: "consumed_inputs"),
    .same("Expand"),
    .same("EyeLike"),
    .same("Flatten"),
    .same("Floor", dropping: "consumed_inputs"),
    .same("Gather"),
    .same("GatherElements"),
    .same("GatherND"),
    .same("Gelu"),
    .rewritten("Gemm", GemmForms.convert),
    .same("GlobalAveragePool"),
    .same("GlobalLpPool"),
    .same("GlobalMaxPool"),
    .rewritten("Greater", LegacyBroadcast.convert),
    .same("GreaterOrEqual"),
    .rewritten("GridSample", refusing: "more than 3 spatial axes", GridSampleForms.convert),
    .rewritten("GroupNormalization", GroupNormalizationForms.convert),
    .same("GRU", dropping: "output_sequence"),
    .same("HammingWindow"),
    .same("HannWindow"),
    .rewritten("Hardmax", SoftmaxForms.convert),
    .same("HardSigmoid", dropping: "consumed_inputs"),
    .same("HardSwish"),
    .same("Identity"),
    .rewritten("If", IfForms.convert),
    .same("ImageDecoder", refusing: "JPEG 2000, compressed bitmaps"),
    .same("InstanceNormalization", dropping: "consumed_inputs"),
    .same("IsInf"),
    .same("IsNaN"),
    .same("LayerNormalization"),
    .same("LeakyRelu", dropping: "consumed_inputs"),
    .rewritten("Less", LegacyBroadcast.convert),
    .same("LessOrEqual"),
    .same("LinearAttention"),
    .same("Log", dropping: "consumed_inputs"),
    .rewritten("LogSoftmax", SoftmaxForms.convert),
    .rewritten("Loop", ControlFlow.convert),
    .same("LpNormalization"),
    .same("LpPool", refusing: "more than 3 spatial axes"),
    .same("LRN"),
    .same("LSTM", dropping: "output_sequence"),
    .same("MatMul"),
    .same("MatMulInteger"),
    .same("Max", dropping: "consumed_inputs"),
    .same("MaxPool", refusing: "more than 3 spatial axes"),
    .same("MaxRoiPool"),
    .same("MaxUnpool", refusing: "more than 3 spatial axes"),
    .same("Mean", dropping: "consumed_inputs"),
    .same("MeanVarianceNormalization"),
    .same("MelWeightMatrix"),
    .same("Min", dropping: "consumed_inputs"),
    .same("Mish"),
    .same("Mod"),
    .rewritten("Mul", LegacyBroadcast.convert),
    .same("Multinomial"),
    .same("Neg", dropping: "consumed_inputs"),
    .same("NegativeLogLikelihoodLoss"),
    .same("NonMaxSuppression"),
    .same("NonZero"),
    .same("Not"),
    .same("OneHot"),
    .same("Optional"),
    .same("OptionalGetElement"),
    .same("OptionalHasElement"),
    .rewritten("Or", LegacyBroadcast.convert),
    .rewritten("Pad", PadForms.convert),
    .rewritten("Pow", LegacyBroadcast.convert),
    .rewritten("PRelu", PReluForms.convert),
    .same("QLinearConv", refusing: "more than 3 spatial axes"),
    .same("QLinearMatMul"),
    .same("QuantizeLinear", refusing: "zero points of float8 that are not 0"),
    .same("RandomNormal"),
    .same("RandomNormalLike"),
    .same("RandomUniform"),
    .same("RandomUniformLike"),
    .same("Range"),
    .same("Reciprocal", dropping: "consumed_inputs"),
    .rewritten("ReduceL1", ReduceForms.convert),
    .rewritten("ReduceL2", ReduceForms.convert),
    .rewritten("ReduceLogSum", ReduceForms.convert),
    .rewritten("ReduceLogSumExp", ReduceForms.convert),
    .rewritten("ReduceMax", ReduceForms.convert),
    .rewritten("ReduceMean", ReduceForms.convert),
    .rewritten("ReduceMin", ReduceForms.convert),
    .rewritten("ReduceProd", ReduceForms.convert),
    .rewritten("ReduceSum", ReduceForms.convert),
    .rewritten("ReduceSumSquare", ReduceForms.convert),
    .same("RegexFullMatch", refusing: "`\\C`, and very large patterns"),
    .same("Relu", dropping: "consumed_inputs"),
    .rewritten("Reshape", ReshapeForms.convert),
    .rewritten("Resize", ResizeForms.convert),
    .same("ReverseSequence"),
    .same("RMSNormalization"),
    .same("RNN", dropping: "output_sequence"),
    .rewritten("RoiAlign", RoiAlignForms.convert),
    .same("RotaryEmbedding"),
    .same("Round"),
    .rewritten("Scan", refusing: "`sequence_lens` of Scan-8", ScanForms.convert),
    .renamed("Scatter", "ScatterElements"),
    .same("ScatterElements"),
    .same("ScatterND"),
    .same("Selu", dropping: "consumed_inputs"),
    .same("SequenceAt"),
    .same("SequenceConstruct"),
    .same("SequenceEmpty"),
    .same("SequenceErase"),
    .same("SequenceInsert"),
    .same("SequenceLength"),
    .rewritten("SequenceMap", ControlFlow.convert),
    .same("Shape"),
    .same("Shrink"),
    .same("Sigmoid", dropping: "consumed_inputs"),
    .same("Sign"),
    .rewritten(
      "SimplifiedLayerNormalization", as: "RMSNormalization",
      SimplifiedLayerNormalizationForms.convert),
    .same("Sin"),
    .same("Sinh"),
    .same("Size"),
    .rewritten("Slice", SliceForms.convert),
    .rewritten("Softmax", SoftmaxForms.convert),
    .same("Softplus"),
    .same("Softsign"),
    .same("SoftmaxCrossEntropyLoss"),
    .same("SpaceToDepth"),
    .rewritten("Split", SplitForms.convert),
    .same("SplitToSequence"),
    .same("Sqrt", dropping: "consumed_inputs"),
    .rewritten("Squeeze", AxesForms.convert),
    .same("STFT"),
    .same("StringConcat"),
    .same("StringNormalizer", refusing: "cases of Turkish, Azeri and Lithuanian"),
    .same("StringSplit"),
    .rewritten("Sub", LegacyBroadcast.convert),
    .same("Sum", dropping: "consumed_inputs"),
    .rewritten("SwiGLU", as: "Swish", SwiGLUForms.convert),
    .same("Swish"),
    .same("Tan"),
    .same("Tanh", dropping: "consumed_inputs"),
    .same("TensorScatter"),
    .same("TfIdfVectorizer"),
    .same("ThresholdedRelu"),
    .same("Tile"),
    .rewritten("TopK", TopKForms.convert),
    .same("Transpose"),
    .same("Trilu"),
    .same("Unique"),
    .rewritten("Unsqueeze", AxesForms.convert),
    .rewritten("Upsample", as: "Resize", UpsampleForms.convert),
    .same("Where"),
    .rewritten("Xor", LegacyBroadcast.convert),
    ONNXEntry(
      op: OperatorID("FlexAttention", domain: "ai.onnx.preview"), target: "Attention",
      isRewritten: true, refused: "", convert: FlexAttentionForms.convert),
  ]

  private static let byID = index(all)

  /// The entries by their operators; domains may share names.
  static func index(_ entries: [ONNXEntry]) -> [OperatorID: ONNXEntry] {
    Dictionary(entries.map { ($0.op, $0) }, uniquingKeysWith: { first, _ in first })
  }

  static func lookup(_ op: OperatorID) -> ONNXEntry? { byID[op] }
}
