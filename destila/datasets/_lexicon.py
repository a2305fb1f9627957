"""Spanish names, places and dates that the demo grammars draw from.

Many are ambiguous on purpose, as in life: Ávila and Cuenca are surnames and towns, Rosario is a
woman and a city, Abril a woman and a month, Victoria a name and a noun. Companies are invented.
"""

from __future__ import annotations


def _list(text: str) -> tuple[str, ...]:
    """Split a list at its commas."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


WOMEN = _list("""
    Abril, Alba, Ana, Ángela, Begoña, Carmen, Celia, Clara, Consuelo, Cristina, Dolores, Elena,
    Esperanza, Eva, Gloria, Inés, Irene, Isabel, Jimena, Julia, Laura, Leonor, Lucía, Macarena,
    María José, Marta, Mercedes, Mónica, Nieves, Noelia, Nuria, Olga, Paloma, Patricia, Pilar,
    Rocío, Rosario, Sofía, Teresa, Valentina, Victoria, Ximena
""")
MEN = _list("""
    Álvaro, Andrés, Antonio, Arturo, Carlos, Daniel, Diego, Emilio, Felipe, Fermín, Gonzalo,
    Héctor, Hugo, Ignacio, Íñigo, Iván, Javier, Joaquín, José Luis, Julián, Leandro, Lorenzo,
    Manuel, Martín, Miguel Ángel, Nicolás, Óscar, Pablo, Rafael, Ramón, Raúl, Rodrigo, Rubén,
    Salvador, Santiago, Sergio, Tomás, Vicente, Víctor
""")
SURNAMES = _list("""
    Aguirre, Alonso, Aragón, Ávila, Ballesteros, Benítez, Blanco, Cano, Castaño, Castillo,
    Córdoba, Cuenca, Delgado, Domínguez, Echeverría, Espinosa, Fuentes, Gallego, García, Gil,
    Gómez, Herrera, Ibáñez, Iglesias, Jiménez, León, Lozano, Marín, Márquez, Medina, Méndez,
    Molina, Montero, Muñoz, Navarro, Núñez, Ochoa, Ortega, Peña, Prieto, Quintana, Ramírez, Rey,
    Ríos, Rojas, Romero, Ruiz, Salas, Serrano, Soria, Suárez, Toledo, Torres, Urrutia, Valencia,
    Vargas, Vega, Vidal, Yáñez, Zamora, Zúñiga
""")
CITIES = _list("""
    Albacete, Alicante, Almería, Antofagasta, Arequipa, Asunción, Ávila, Badajoz, Barcelona,
    Barranquilla, Bilbao, Bogotá, Buenos Aires, Burgos, Cáceres, Cádiz, Cali, Caracas,
    Cartagena, Castellón, Ciudad de México, Concepción, Córdoba, Cuenca, Cusco, Gijón, Girona,
    Granada, Guadalajara, Guayaquil, Huelva, Jaén, La Paz, León, Lima, Logroño, Lugo, Madrid,
    Málaga, Managua, Medellín, Mendoza, Mérida, Monterrey, Montevideo, Murcia, Ourense, Oviedo,
    Palencia, Pamplona, Puebla, Quito, Rosario, Salamanca, San Sebastián,
    Santiago de Compostela, Segovia, Sevilla, Soria, Tarragona, Teruel, Toledo, Valencia,
    Valladolid, Valparaíso, Veracruz, Vigo, Vitoria, Zamora, Zaragoza
""")
COUNTRIES = _list("""
    Alemania, Argentina, Bolivia, Brasil, Canadá, Chile, Colombia, Costa Rica, Cuba, Ecuador,
    El Salvador, España, Francia, Guatemala, Honduras, Italia, Japón, Marruecos, México,
    Nicaragua, Panamá, Paraguay, Perú, Portugal, Suiza, Turquía, Uruguay, Venezuela
""")
MOUNTAINS = _list("""
    sierra de Gredos, sierra Nevada, sierra de Cazorla, cordillera de los Andes,
    cordillera Cantábrica, meseta de Soria, comarca del Jerte, bahía de Concepción,
    costa de Almería, isla de Ons, península de Yucatán, laguna de Gallocanta
""")
COMPANIES = _list("""
    Norteluz, Hidromonte, Telemar, Iberáureo, Aerosur, Trenalba, Cafés Montenegro,
    Grupo Almazara, Banca Duero, Seguros La Encina, Radio Candela, Diario del Ebro,
    Ferrocarriles del Plata, Naviera Atlántida, Cementos Moncayo, Conservas Ribadeo,
    Librería Ñandú, Mutua Pirineo, Bodegas Viñamayor, Correo Austral
""")
MONTHS = _list("""
    enero, febrero, marzo, abril, mayo, junio, julio, agosto, septiembre, octubre, noviembre,
    diciembre
""")
WEEKDAYS = _list("lunes, martes, miércoles, jueves, viernes, sábado, domingo")
