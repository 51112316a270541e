import MartletCore
import MartletOperators

extension Graph {
  /// Makes the operator of a node, with whatever of its inputs is constant.
  ///
  /// Errors name the node and the operator.
  package func makeOperator(_ node: Node) throws(MartletError) -> any Operator {
    var constants: [Tensor?] = []
    for input in node.inputs { constants.append(input.flatMap { values[$0].constant }) }
    do throws(MartletError) {
      return try OperatorTable.make(
        node.operatorName,
        OperatorNode(
          attributes: Attributes(node.attributes, operatorName: node.operatorName),
          constants: constants, inputCount: node.inputs.count, outputCount: node.outputs.count))
    } catch {
      throw error.at(node)
    }
  }

  /// What is known of a node's outputs before a run; exactly one type per output.
  package func inferOutputs(_ node: Node, _ operation: any Operator) throws(MartletError)
    -> [ValueType]
  {
    var inputs: [ValueType?] = []
    for input in node.inputs { inputs.append(input.map { values[$0].type }) }
    var types: [ValueType]
    do throws(MartletError) { types = try operation.infer(inputs) } catch { throw error.at(node) }
    while types.count < node.outputs.count { types.append(ValueType(dtype: nil, shape: nil)) }
    return Array(types.prefix(node.outputs.count))
  }

  /// Infers the types of all values from those of the inputs, in the order of the nodes.
  ///
  /// What was known before and does not follow from the inputs is kept.
  package mutating func inferTypes() throws(MartletError) {
    for node in nodes {
      let operation = try makeOperator(node)
      let types = try inferOutputs(node, operation)
      for (output, type) in zip(node.outputs, types) {
        values[output].type = type.completed(by: values[output].type)
      }
    }
  }
}

extension ValueType {
  /// This type with what `other` knows beyond it; where both know, this one stands.
  package func completed(by other: ValueType) -> ValueType {
    var result = self
    result.dtype = dtype ?? other.dtype
    if let shape, let otherShape = other.shape, shape.count == otherShape.count {
      result.shape = zip(shape, otherShape).map { $0 == .unknown ? $1 : $0 }
    } else {
      result.shape = shape ?? other.shape
    }
    result.elements = elements ?? other.elements
    result.constant = constant ?? other.constant
    return result
  }
}

extension MartletError {
  /// This error with the node's name and operator filled in where they are missing.
  package func at(_ node: Node) -> MartletError {
    var error = self
    error.node = error.node ?? node.name
    error.operatorName = error.operatorName ?? node.operatorName
    return error
  }
}
