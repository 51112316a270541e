import MartletCore

/// All operators, one line each.
package enum OperatorTable {
  package static let all: [any Operator.Type] = [
    // Elementwise: arithmetic
    Abs.self,
    Add.self,
    Ceil.self,
    Clip.self,
    Div.self,
    Erf.self,
    Exp.self,
    Floor.self,
    Log.self,
    Max.self,
    Mean.self,
    Min.self,
    Mod.self,
    Mul.self,
    Neg.self,
    Pow.self,
    Reciprocal.self,
    Round.self,
    Sign.self,
    Sqrt.self,
    Sub.self,
    Sum.self,
    // Elementwise: trigonometry
    Acos.self,
    Acosh.self,
    Asin.self,
    Asinh.self,
    Atan.self,
    Atanh.self,
    Cos.self,
    Cosh.self,
    Sin.self,
    Sinh.self,
    Tan.self,
    // Elementwise: activations
    Celu.self,
    Elu.self,
    Gelu.self,
    HardSigmoid.self,
    HardSwish.self,
    LeakyRelu.self,
    Mish.self,
    PRelu.self,
    Relu.self,
    Selu.self,
    Shrink.self,
    Sigmoid.self,
    Silu.self,
    Softplus.self,
    Softsign.self,
    Swish.self,
    Tanh.self,
    ThresholdedRelu.self,
    // Elementwise: comparison, logic, bits
    And.self,
    BitShift.self,
    BitwiseAnd.self,
    BitwiseNot.self,
    BitwiseOr.self,
    BitwiseXor.self,
    Equal.self,
    Greater.self,
    GreaterOrEqual.self,
    IsInf.self,
    IsNaN.self,
    Less.self,
    LessOrEqual.self,
    Not.self,
    Or.self,
    Where.self,
    Xor.self,
    // Control flow
    If.self,
    Loop.self,
    Scan.self,
    // Convolution
    Conv.self,
    FusedConv.self,
    ConvTranspose.self,
    DeformConv.self,
    // LinearAlgebra
    Attention.self,
    Det.self,
    Einsum.self,
    FusedAttention.self,
    FusedGemm.self,
    FusedMatMul.self,
    CDist.self,
    Gemm.self,
    GroupQueryAttention.self,
    Inverse.self,
    Linear.self,
    LinearAttention.self,
    MatMul.self,
    RotaryEmbedding.self,
    // Pooling
    AveragePool.self,
    GlobalAveragePool.self,
    GlobalLpPool.self,
    GlobalMaxPool.self,
    LpPool.self,
    MaxPool.self,
    MaxRoiPool.self,
    MaxUnpool.self,
    // Quantization
    ConvInteger.self,
    DequantizeLinear.self,
    DequantizedMatMul.self,
    DynamicQuantizeLinear.self,
    GatherBlockQuantized.self,
    MatMulInteger.self,
    MatMulNBits.self,
    QLinearAdd.self,
    QLinearConv.self,
    QLinearLeakyRelu.self,
    QLinearMatMul.self,
    QLinearMul.self,
    QLinearSigmoid.self,
    QuantizeLinear.self,
    // Tensor
    BitCast.self,
    Cast.self,
    CastLike.self,
    CenterCropPad.self,
    Concat.self,
    CropAndResize.self,
    DepthToSpace.self,
    Expand.self,
    Flatten.self,
    Identity.self,
    Pad.self,
    Reshape.self,
    Resize.self,
    ReverseSequence.self,
    ShapeOf.self,
    Size.self,
    Slice.self,
    SpaceToDepth.self,
    Split.self,
    Squeeze.self,
    Tile.self,
    Transpose.self,
    Trilu.self,
    Unsqueeze.self,
    // Strings
    MurmurHash3.self,
    RegexFullMatch.self,
    StringConcat.self,
    StringNormalizer.self,
    StringSplit.self,
    TfIdfVectorizer.self,
    // Random
    Bernoulli.self,
    Dropout.self,
    Multinomial.self,
    RandomNormal.self,
    RandomNormalLike.self,
    RandomUniform.self,
    RandomUniformLike.self,
    // Recurrent
    DynamicQuantizeLSTM.self,
    GRU.self,
    LSTM.self,
    RNN.self,
    // Sequences and optionals
    ConcatFromSequence.self,
    MakeOptional.self,
    OptionalGetElement.self,
    OptionalHasElement.self,
    SequenceAt.self,
    SequenceConstruct.self,
    SequenceEmpty.self,
    SequenceErase.self,
    SequenceInsert.self,
    SequenceLength.self,
    SequenceMap.self,
    SplitToSequence.self,
    // Reduction
    ArgMax.self,
    ArgMin.self,
    CumProd.self,
    CumSum.self,
    ReduceL1.self,
    ReduceL2.self,
    ReduceLogSum.self,
    ReduceLogSumExp.self,
    ReduceMax.self,
    ReduceMean.self,
    ReduceMin.self,
    ReduceProd.self,
    ReduceSum.self,
    ReduceSumSquare.self,
    TopK.self,
    // Normalization
    BatchNormalization.self,
    GroupNormalization.self,
    Hardmax.self,
    InstanceNormalization.self,
    LayerNormalization.self,
    LogSoftmax.self,
    LpNormalization.self,
    LRN.self,
    MeanVarianceNormalization.self,
    RMSNormalization.self,
    Softmax.self,
    // Losses
    NegativeLogLikelihoodLoss.self,
    SoftmaxCrossEntropyLoss.self,
    // Trees
    TreeEnsemble.self,
    TreeEnsembleClassifier.self,
    TreeEnsembleRegressor.self,
    // Classical machine learning
    ArrayFeatureExtractor.self,
    Binarizer.self,
    CastMap.self,
    CategoryMapper.self,
    DictVectorizer.self,
    FeatureVectorizer.self,
    Imputer.self,
    LabelEncoder.self,
    LinearClassifier.self,
    LinearRegressor.self,
    Normalizer.self,
    OneHotEncoder.self,
    Scaler.self,
    SVMClassifier.self,
    SVMRegressor.self,
    ZipMap.self,
    // Indexing
    Compress.self,
    Gather.self,
    GatherElements.self,
    GatherND.self,
    NonZero.self,
    OneHot.self,
    ScatterElements.self,
    ScatterND.self,
    TensorScatter.self,
    Unique.self,
    // Vision
    AffineGrid.self,
    Col2Im.self,
    GridSample.self,
    ImageDecoder.self,
    NonMaxSuppression.self,
    RoiAlign.self,
    // Signal
    BlackmanWindow.self,
    DFT.self,
    HammingWindow.self,
    HannWindow.self,
    MelWeightMatrix.self,
    STFT.self,
    // Generators
    Constant.self,
    ConstantOfShape.self,
    EyeLike.self,
    RangeOf.self,
  ]

  private static let byID: [OperatorID: any Operator.Type] = Dictionary(
    all.map { ($0.schema.id, $0) }, uniquingKeysWith: { first, _ in first })

  private static let byName: [String: OperatorID] = Dictionary(
    all.map { ($0.schema.name, $0.schema.id) }, uniquingKeysWith: { first, _ in first })

  private static let plainProducts: [OperatorID: any PlainMatrixProduct] = Dictionary(
    all.compactMap { type in
      (type as? any PlainMatrixProduct.Type).map { (type.schema.id, $0.plain) }
    }, uniquingKeysWith: { first, _ in first })

  /// The operator of this id as a product of plain matrices, where it is one.
  package static func plainProduct(_ id: OperatorID) -> (any PlainMatrixProduct)? {
    plainProducts[id]
  }

  /// The operator of this id, or nil.
  package static func lookup(_ id: OperatorID) -> (any Operator.Type)? { byID[id] }

  /// The operator that a caller means: `Conv`, `ai.martlet.FusedConv`, or one of Martlet's own
  /// without its domain, where ONNX has none of that name.
  package static func id(named name: String) -> OperatorID {
    if let id = byName[name] { return id }
    let own = OperatorID.martlet(name)
    return byID[own] == nil ? OperatorID(name) : own
  }

  /// Makes the operator `id` for a node; throws `notFound` for an unknown one and
  /// `invalidArgument` for a wrong number of inputs or an unknown attribute.
  package static func make(_ id: OperatorID, _ node: OperatorNode) throws(MartletError)
    -> any Operator
  {
    let name = id.description
    guard let type = lookup(id) else {
      throw MartletError(
        .notFound, "unknown operator '\(name)'", operatorName: name,
        expected: "one of the \(all.count) operators that Martlet knows", actual: name)
    }
    let schema = type.schema
    guard node.inputCount >= schema.requiredInputs,
      schema.isVariadic || node.inputCount <= schema.inputs.count
    else {
      let least = "\(schema.requiredInputs)"
      let expected =
        schema.isVariadic
        ? "\(least) or more"
        : schema.requiredInputs == schema.inputs.count
          ? least : "\(least) to \(schema.inputs.count)"
      throw MartletError(
        .invalidArgument, "\(name): expected \(expected) inputs, got \(node.inputCount)",
        operatorName: name, expected: expected, actual: "\(node.inputCount)")
    }
    if case .refused = schema.traits.narrowInputs {
      for (index, constant) in node.constants.enumerated() {
        guard let constant, constant.dtype.isNarrow else { continue }
        let input = index < schema.inputs.count ? schema.inputs[index] : "input \(index)"
        throw NarrowError.refused(name, input, constant.dtype)
      }
    }
    for attribute in node.attributes.values.keys.sorted()
    where schema.attributes[attribute] == nil {
      throw MartletError(
        .notFound, "\(name): unknown attribute '\(attribute)'", operatorName: name,
        input: attribute, expected: schema.attributes.keys.sorted().joined(separator: ", "),
        actual: attribute)
    }
    return try type.init(node)
  }
}
