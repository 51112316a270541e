import MartletCore
import MartletOperators

/// The operators of com.microsoft that files may use, one line each.
///
/// Source: github.com/microsoft/onnxruntime, docs/ContribOperators.md, as of ONNX Runtime 1.32.
extension ONNXTable {
  static let microsoft: [ONNXEntry] = [
    .microsoft(
      "Attention", as: "Attention",
      refusing: "rotary embeddings, shared buffers, masks of 4 axes", AttentionForms.projected),
    .microsoft("BiasGelu", as: "Gelu", GeluForms.biased),
    .microsoft("BiasSplitGelu", as: "Gelu", GeluForms.split),
    .same("CDist", domain: OperatorID.microsoftDomain, refusing: "metrics that are not Euclidean"),
    .microsoft(
      "ConvTransposeWithDynamicPads", as: "ConvTranspose", TensorForms.convTranspose),
    .same("CropAndResize", domain: OperatorID.microsoftDomain),
    .standard("DequantizeLinear"),
    .same("DynamicQuantizeLSTM", domain: OperatorID.microsoftDomain),
    .microsoft(
      "DynamicQuantizeMatMul", as: DequantizedMatMul.schema.id, QuantizedProductForms.dynamic),
    .microsoft(
      "EmbedLayerNormalization", as: "LayerNormalization", EmbedLayerNormalizationForms.convert),
    .microsoft("FastGelu", as: "Gelu", GeluForms.fast),
    .microsoft("FusedConv", as: "Conv", FusedProductForms.conv),
    .microsoft("FusedGemm", as: "Gemm", FusedProductForms.gemm),
    .microsoft("FusedMatMul", as: .martlet("FusedMatMul"), FusedProductForms.matMul),
    .same("GatherBlockQuantized", domain: OperatorID.microsoftDomain),
    .standard("Gelu"),
    .microsoft("GridSample", as: "GridSample", TensorForms.gridSample),
    .same(
      "GroupQueryAttention", domain: OperatorID.microsoftDomain,
      refusing: "quantised and sliding caches, query_seqlens"),
    .same("Inverse", domain: OperatorID.microsoftDomain),
    .microsoft(
      "MatMulIntegerToFloat", as: DequantizedMatMul.schema.id, QuantizedProductForms.toFloat),
    .same("MatMulNBits", domain: OperatorID.microsoftDomain, refusing: "prepacked weights"),
    .microsoft(
      "MultiHeadAttention", as: "Attention",
      refusing: "packed queries, keys and values, shared buffers, cache_indirection",
      AttentionForms.multiHead),
    .same("MurmurHash3", domain: OperatorID.microsoftDomain),
    .microsoft("NhwcMaxPool", as: "MaxPool", ChannelsLastForms.maxPool),
    .microsoft("Pad", as: "Pad", TensorForms.pad),
    .microsoft(
      "QAttention", as: "Attention",
      refusing: "rotary embeddings, shared buffers, masks of 4 axes", AttentionForms.quantized),
    .microsoft("QGemm", as: "QLinearMatMul", QuantizedProductForms.gemm),
    .same("QLinearAdd", domain: OperatorID.microsoftDomain),
    .microsoft("QLinearAveragePool", as: "AveragePool", ChannelsLastForms.averagePool),
    .microsoft("QLinearConcat", as: "Concat", QuantizedElementForms.concat),
    .microsoft("QLinearConv", as: "QLinearConv", ChannelsLastForms.convolution),
    .microsoft(
      "QLinearGlobalAveragePool", as: "GlobalAveragePool", ChannelsLastForms.globalAveragePool),
    .same("QLinearLeakyRelu", domain: OperatorID.microsoftDomain),
    .same("QLinearMul", domain: OperatorID.microsoftDomain),
    .same("QLinearSigmoid", domain: OperatorID.microsoftDomain),
    .microsoft("QLinearSoftmax", as: "Softmax", QuantizedElementForms.softmax),
    .microsoft("QLinearWhere", as: "Where", QuantizedElementForms.choice),
    .standard("QuantizeLinear"),
    .microsoft("QuickGelu", as: "Swish", GeluForms.quick),
    .microsoft(
      "RotaryEmbedding", as: "RotaryEmbedding", refusing: "packed batches",
      RotaryEmbeddingForms.convert),
    .microsoft(
      "SkipLayerNormalization", as: "LayerNormalization", SkipNormalizationForms.convert),
    .microsoft(
      "SkipSimplifiedLayerNormalization", as: "RMSNormalization", SkipNormalizationForms.convert),
    .microsoft("TransposeMatMul", as: .martlet("FusedMatMul"), FusedProductForms.matMul),
    .standard("Trilu"),
    .microsoft("Unique", as: "Unique", TensorForms.unique),
  ]
}

extension ONNXEntry {
  /// An operator that is ONNX's of the same name.
  fileprivate static func standard(_ name: String) -> ONNXEntry {
    let target = OperatorID(name)
    return .microsoft(name, as: target) { converter, node throws(MartletError) in
      try converter.emit(target, node.inputs, node.attributes, for: node)
    }
  }

  /// `target`: the operator that does its main work.
  fileprivate static func microsoft(
    _ name: String, as target: OperatorID, refusing: String = "", _ convert: @escaping Conversion
  ) -> ONNXEntry {
    ONNXEntry(
      op: OperatorID(name, domain: OperatorID.microsoftDomain), target: target, isRewritten: true,
      refused: refusing, convert: convert)
  }
}
