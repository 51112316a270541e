/// What a model's file says about itself.
package struct ModelMetadata: Sendable, Equatable {
  package var format = ""
  package var producerName = ""
  package var producerVersion = ""
  package var domain = ""
  package var modelVersion = 0
  package var irVersion = 0
  package var graphName = ""
  package var documentation = ""
  /// Versions of the operator sets by domain; the default domain is "".
  package var opsets: [String: Int] = [:]
  /// The file's own key-value pairs, in order.
  package var properties: [(key: String, value: String)] = []

  package init() {}

  package static func == (lhs: ModelMetadata, rhs: ModelMetadata) -> Bool {
    lhs.format == rhs.format && lhs.producerName == rhs.producerName
      && lhs.producerVersion == rhs.producerVersion && lhs.domain == rhs.domain
      && lhs.modelVersion == rhs.modelVersion && lhs.irVersion == rhs.irVersion
      && lhs.graphName == rhs.graphName && lhs.documentation == rhs.documentation
      && lhs.opsets == rhs.opsets && lhs.properties.elementsEqual(rhs.properties, by: ==)
  }
}
