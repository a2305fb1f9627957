"""Demo intents: requests to the assistant of a bank, a telephone company and a travel agency, 8 classes.

source: written by the grammar below; the same seed gives the same sentences   licence: Apache-2.0, as the code
paper: none   notes: confusable on purpose. Some sentences open with other matters than the request ("Ya pagué
el recibo.") or quote a request that somebody else makes, some wordings fit two classes and carry one of them at
random, and part of the sentences is typed in a hurry, so no model reaches 100 %. An eighth of the wordings, names
and towns occurs in test only, another in dev only. No two splits share a sentence, whatever its case, accents or
punctuation.
"""

from __future__ import annotations

import random
from functools import partial

from destila import config
from destila.config import opt
from destila.datasets import _lexicon
from destila.datasets._grammar import Grammar, Sentence, careless, choose, distinct
from destila.types import Dataset, Example

TASK = "classify"
LABELS: tuple[str, ...] | None = (
    "averia",
    "bloquear_tarjeta",
    "cancelar_reserva",
    "consultar_cuenta",
    "pagar_recibo",
    "reclamar_cobro",
    "reservar_viaje",
    "transferir_dinero",
)


class Options(config.Options):
    """How many sentences, and how messy."""

    seed: int = opt(0, "another seed writes other sentences")
    train: int = opt(2000, "sentences to train on", ge=8)
    dev: int = opt(300, "sentences to choose on", ge=8)
    test: int = opt(
        500, "sentences to test on, a part with wordings and names unseen in training", ge=8
    )
    unlabelled: int = opt(
        0, "further sentences without labels, for a teacher to label; 0 = no such split", ge=0
    )
    hurried: float = opt(
        0.25, "share of sentences typed without capitals and accents, and with slips", ge=0, le=1
    )
    opening: float = opt(0.2, "share of sentences that first mention another matter", ge=0, le=1)
    quoting: float = opt(
        1.0, "share of the others that quote a request somebody else makes", ge=0, le=1
    )
    doubtful: float = opt(0.05, "share of sentences whose wording fits two classes", ge=0, le=1)


def load(options: Options) -> Dataset:
    """Train, dev and test, and `unlabelled` if asked for; raises DataError when the grammar cannot write that many different sentences."""
    labels = LABELS or ()
    seen: set[str] = set()
    splits = {}
    for split in ("test", "dev", "train", "unlabelled"):
        rng = random.Random(f"intents {options.seed} {split}")
        written = distinct(
            partial(_write, labels, options, rng, split), getattr(options, split), seen
        )
        splits[split] = [
            Example(f"{split}-{i}", s.text, target=None if split == "unlabelled" else label)
            for i, (label, s) in enumerate(written)
        ]
    return Dataset(
        "demo_intents",
        TASK,
        labels,
        {name: splits[name] for name in ("train", "dev", "test", "unlabelled") if splits[name]},
    )


def _write(
    labels: tuple[str, ...], options: Options, rng: random.Random, split: str
) -> tuple[str, Sentence]:
    """One label and one sentence that asks for it."""
    if rng.random() < options.doubtful:
        rule = choose(tuple(_DOUBTFUL), rng)
        label = choose(_DOUBTFUL[rule], rng)
    else:
        label = rule = choose(labels, rng)
    shape = (
        "rodeo"
        if rng.random() < options.opening
        else "cita"
        if rng.random() < options.quoting
        else "directo"
    )
    sentence = _GRAMMAR.write(f"{rule}_{shape}", rng, split=split)
    return label, careless(sentence, rng) if rng.random() < options.hurried else sentence


_DOUBTFUL: dict[str, tuple[str, ...]] = {
    "tarjeta_o_cobro": ("bloquear_tarjeta", "reclamar_cobro"),
    "cancelar_o_cobro": ("cancelar_reserva", "reclamar_cobro"),
    "pagar_o_transferir": ("pagar_recibo", "transferir_dinero"),
    "cuenta_o_cobro": ("consultar_cuenta", "reclamar_cobro"),
}

_REQUESTS: dict[str, tuple[str, ...]] = {
    "averia": (
        "no me funciona {servicio} desde el {día}.",
        "llevo {días} sin {línea}.",
        "se me corta {servicio} cada {rato}.",
        "{servicio} va lentísimo en {ciudad}, ¿hay algún problema?",
        "el rúter tiene una luz roja y no navega.",
        "manden un técnico a {ciudad}, que {servicio} no da señal.",
        "quiero dar parte de un fallo: {servicio} no va.",
        "no puedo pagar {recibo} porque la aplicación no carga.",
        "la aplicación se cierra cuando intento hacer una transferencia a {persona}.",
        "con la tormenta nos hemos quedado sin {línea} en {ciudad}.",
        "¿cuándo arreglan {servicio}?",
        "quiero reservar {viaje}, pero la página da error todo el rato.",
        "en casa de {persona} no hay {línea} desde hace {días}.",
        "{servicio} hace un ruido raro y no se oye nada.",
        "no consigo ver el saldo de {cuenta}: se queda la pantalla en blanco.",
        "desde que cambiaron el contador, {servicio} falla cada {rato}.",
    ),
    "bloquear_tarjeta": (
        "he perdido {tarjeta}.",
        "me han robado {tarjeta} en {ciudad}.",
        "quiero bloquear {tarjeta}.",
        "no encuentro {tarjeta} y no quiero que nadie pague con ella.",
        "anulen {tarjeta} cuanto antes, no sé dónde está.",
        "el cajero de {ciudad} se ha tragado {tarjeta}.",
        "creo que me han copiado {tarjeta}; hay que darla de baja.",
        "me dejé {tarjeta} en un taxi, ¿pueden desactivarla?",
        "desactiva {tarjeta} hasta que la encuentre.",
        "me falta {tarjeta} desde que volví de {ciudad}.",
        "alguien usa {tarjeta} sin mi permiso: que no pueda pagar más.",
        "cancela {tarjeta} ahora mismo, me han quitado el bolso en {ciudad}.",
        "estaba pagando {recibo} y me di cuenta de que no llevo {tarjeta}: ciérrenla.",
        "¿cómo hago para que {tarjeta} deje de funcionar?",
        "me olvidé {tarjeta} en el hotel de {ciudad} y no quiero sustos.",
        "se me cayó {tarjeta} en el tren, que nadie la use.",
    ),
    "cancelar_reserva": (
        "quiero cancelar {reserva}.",
        "al final no puedo ir a {ciudad}, anula {reserva}.",
        "ya no necesito {reserva}, cancéla{reserva.1}.",
        "¿me cobran algo si anulo {reserva}?",
        "he reservado dos veces por error, quita {reserva}.",
        "se me ha complicado la semana y tengo que anular {reserva}.",
        "¿hasta qué día puedo cancelar {reserva} sin pagar?",
        "reservé {viaje}, pero no voy a ir.",
        "devuélvanme los {cantidad} de {reserva}, que ya no viajo.",
        "{persona} no se encuentra bien y no viajamos: anulen {reserva}.",
        "deja sin efecto {reserva}.",
        "no quiero {reserva}, me he equivocado de fecha.",
        "retira {reserva} y no cargues nada en {tarjeta}.",
        "pensaba salir el {día} con {reserva}, pero me quedo en casa.",
        "¿qué tengo que hacer para deshacer {reserva}?",
        "renuncio a {reserva}: díganme cómo se tramita.",
    ),
    "consultar_cuenta": (
        "¿cuánto dinero me queda en {cuenta}?",
        "quiero saber cuánto tengo en {cuenta}.",
        "¿me dice el saldo de {cuenta}?",
        "dime si me alcanza para pagar {recibo}.",
        "¿ha entrado ya la nómina en {cuenta}?",
        "mira a ver si ha llegado la transferencia de {persona}.",
        "¿cuáles son los últimos movimientos de {cuenta}?",
        "antes de reservar {viaje} quiero ver cuánto tengo en {cuenta}.",
        "¿cuánto he gastado este mes con {tarjeta}?",
        "¿me han ingresado ya los {cantidad}?",
        "enséñame lo que hay en {cuenta}.",
        "necesito el extracto de {cuenta} desde el {día}.",
        "¿me queda algo después de pagar {recibo}?",
        "¿tengo dinero suficiente para {viaje}?",
        "a ver cómo ando de dinero en {cuenta}.",
        "léeme los pagos que hice el {día} con {tarjeta}.",
    ),
    "pagar_recibo": (
        "quiero pagar {recibo}.",
        "¿puedo pagar {recibo} desde aquí?",
        "me ha llegado {recibo} y {recibo.1} quiero pagar hoy.",
        "{recibo} vence el {día}: pága{recibo.1} desde {cuenta}.",
        "domicilia {recibo} en {cuenta}.",
        "tengo pendiente {recibo}, {cantidad} en total. ¿Cómo {recibo.1} pago?",
        "se me pasó el plazo de {recibo}, ¿todavía puedo pagar?",
        "abona {recibo} con {tarjeta}.",
        "que se cargue {recibo} en {tarjeta}.",
        "pon {recibo} al día con lo que tengo en {cuenta}.",
        "liquida {recibo} de una vez, no quiero recargos.",
        "no quiero que me corten {servicio}: pago ahora los {cantidad}.",
        "¿aceptan {tarjeta} para {recibo}?",
        "deja pagado {recibo} antes del {día}.",
        "{persona} me ha pasado {recibo}; hazte cargo desde {cuenta}.",
        "quisiera saldar {recibo} con el dinero de {cuenta}.",
    ),
    "reclamar_cobro": (
        "me han cobrado {recibo} dos veces.",
        "no reconozco un cargo de {cantidad} en {cuenta}.",
        "quiero que me devuelvan los {cantidad} de {comercio}.",
        "{comercio} me ha cobrado {cantidad} de más.",
        "no quiero pagar {recibo}: está mal.",
        "ya pagué {recibo} y me {recibo.1} han vuelto a pasar.",
        "hay un pago con {tarjeta} que yo no he hecho.",
        "en {recibo} aparecen {cantidad} que no me corresponden.",
        "cancelé {reserva} y siguen sin devolverme los {cantidad}.",
        "¿por qué me han quitado {cantidad} de comisión por la transferencia?",
        "devuelvan {recibo}, yo no tengo nada contratado con ellos.",
        "exijo el reembolso de {cantidad}: nunca compré en {comercio}.",
        "me cargaron {reserva} en {tarjeta} y yo no {reserva.1} pedí.",
        "{recibo} viene con {cantidad} de un servicio que di de baja.",
        "sin {línea} {días} y encima me cobran {cantidad}: no estoy conforme.",
        "quiero poner una queja por los {cantidad} de {comercio}.",
    ),
    "reservar_viaje": (
        "quiero reservar {viaje}.",
        "búscame {viaje} para el {día}.",
        "¿tienen {viaje} para el {día}?",
        "necesito ir de {ciudad} a {ciudad2} el {día}.",
        "¿cuánto cuesta {viaje}?",
        "sácame {viaje} por menos de {cantidad}.",
        "me gustaría pasar el puente en {ciudad}, ¿qué hoteles hay?",
        "resérvame {viaje} y lo cargas en {tarjeta}.",
        "confírmame {viaje} a nombre de {persona}.",
        "apúntame en el primer vuelo a {ciudad}.",
        "¿queda sitio en el tren de {ciudad} del {día}?",
        "he perdido el tren y necesito {viaje}.",
        "voy con {persona} a {ciudad}: dos noches desde el {día}.",
        "mira a ver si hay {viaje} que no pase de {cantidad}.",
        "cámbiame lo de {ciudad} por {viaje}.",
        "mi reserva de {ciudad} ya no vale, hazme otra para el {día}.",
    ),
    "transferir_dinero": (
        "quiero enviar {cantidad} a {persona}.",
        "haz una transferencia de {cantidad} a {persona}.",
        "necesito pasar {cantidad} de {cuenta} a la cuenta de {persona}.",
        "mándale {cantidad} a {persona} antes del {día}.",
        "¿puedo transferir {cantidad} a un banco de {país}?",
        "tengo que devolverle {cantidad} a {persona}, ¿cómo lo hago?",
        "ingrésale a {persona} {cantidad} de lo que me queda en {cuenta}.",
        "quiero pagarle a {persona} los {cantidad} que le debo.",
        "programa un envío de {cantidad} a {persona} para el {día}.",
        "ponle {cantidad} a {persona} en su cuenta, concepto: {concepto}.",
        "hazle llegar a {persona} su parte de {concepto}, {cantidad}.",
        "¿me ayuda a mover {cantidad} de {cuenta} a otro banco?",
        "{persona} me ha prestado {cantidad}: devuélveselos desde {cuenta}.",
        "saca {cantidad} de {cuenta} y que le lleguen hoy a {persona}.",
        "le debo a {persona} {concepto}; dale los {cantidad}.",
        "reparte {cantidad} entre {persona} y {persona2}.",
    ),
    "tarjeta_o_cobro": (
        "llamo por {tarjeta}: ha salido un pago raro de {cantidad} en {comercio}.",
        "no me cuadra lo que pone en {tarjeta}, {cantidad} en {ciudad}.",
    ),
    "cancelar_o_cobro": (
        "es por {reserva}: quiero mi dinero.",
        "no fui a {ciudad} y me gustaría recuperar los {cantidad}.",
    ),
    "pagar_o_transferir": (
        "tengo que pagarle {cantidad} a {persona} por {recibo}.",
        "haz un pago de {cantidad} a nombre de {persona} desde {cuenta}.",
    ),
    "cuenta_o_cobro": (
        "¿por qué me faltan {cantidad} en {cuenta}?",
        "no entiendo los {cantidad} de {comercio}, ¿qué son?",
    ),
}

_OPENINGS: dict[str, tuple[str, ...]] = {  # what each class says when it is *not* the request
    "averia": ("la avería de {servicio} ya la arreglaron. ", "{servicio} ya va bien. "),
    "bloquear_tarjeta": (
        "lo de {tarjeta} ya está resuelto. ",
        "no es por {tarjeta}, que ya la bloquearon. ",
    ),
    "cancelar_reserva": ("la semana pasada anulé {reserva}. ", "no quiero cancelar {reserva}. "),
    "consultar_cuenta": (
        "el saldo ya lo he visto. ",
        "gracias por lo de {cuenta}, ahora va otra cosa. ",
    ),
    "pagar_recibo": ("acabo de pagar {recibo}. ", "no llamo por {recibo}. "),
    "reclamar_cobro": (
        "me devolvieron por fin el cobro de {comercio}. ",
        "hoy no vengo a reclamar nada. ",
    ),
    "reservar_viaje": ("ya tengo {viaje}. ", "ayer pregunté por {viaje}, pero hoy es otra cosa. "),
    "transferir_dinero": (
        "ya hice la transferencia a {persona}. ",
        "el dinero ya le ha llegado a {persona}. ",
    ),
}

_QUOTES = (  # {{{0}}} is the request, {{{0}_otro}} one of another class that somebody else makes
    "{{hola}}mi hermana pregunta: «{{{0}_otro}}» Yo, en cambio: {{{0}}}",
    "{{hola}}{{{0}}} Lo otro, «{{{0}_otro}}», es de mi hermana.",
    "antes escribí por error: «{{{0}_otro}}» Quería decir: {{{0}}}",
    "{{{0}}} No haga caso de lo anterior («{{{0}_otro}}»).",
    "{{hola}}{{{0}}}{{cierre}} Lo de «{{{0}_otro}}» ya no hace falta.",
    "{{hola}}ya no hace falta lo de «{{{0}_otro}}» Ahora: {{{0}}}",
    "mi padre dirá: «{{{0}_otro}}» Lo mío es esto: {{{0}}}{{cierre}}",
)

_FILLERS: dict[str, tuple[str, ...]] = {
    "hola": (
        *("",) * 6,
        *(
            "hola, ",
            "buenas, ",
            "buenos días, ",
            "buenas tardes, ",
            "hola, buenas, ",
            "disculpe, ",
            "perdone, ",
        ),
        *("oye, ", "mire, ", "a ver, ", "soy {quien}, ", "le llamo desde {ciudad}, "),
    ),
    "cierre": (
        *("",) * 6,
        *(
            " Gracias.",
            " Muchas gracias.",
            " Es urgente.",
            " Quedo a la espera.",
            " Un saludo.",
            " ¿Me ayuda?",
        ),
        *(
            " Soy {quien}.",
            " Me corre prisa.",
            " Le llamo desde {ciudad}.",
            " Por favor.",
            " ¡Gracias!",
        ),
    ),
    "tarjeta": (
        "la tarjeta",
        "la tarjeta del banco",
        "la tarjeta de crédito",
        "la tarjeta de débito",
        "la tarjeta azul",
    ),
    "cuenta": (
        *(
            "la cuenta",
            "mi cuenta",
            "la cuenta corriente",
            "la cuenta de ahorro",
            "la cuenta nómina",
        ),
        *("la cuenta conjunta", "la cuenta de la empresa"),
    ),
    "recibo": (
        *(
            "el recibo de la luz|lo",
            "la factura del gas|la",
            "la cuota del gimnasio|la",
            "el recibo del agua|lo",
        ),
        *("la factura del móvil|la", "el impuesto de circulación|lo", "la multa de tráfico|la"),
        *(
            "el recibo de la comunidad|lo",
            "el seguro del coche|lo",
            "la matrícula de la universidad|la",
        ),
        *("la factura de internet|la", "el recibo del colegio|lo", "la cuota del préstamo|la"),
        *(
            "el alquiler del trastero|lo",
            "la factura de la calefacción|la",
            "el seguro de la moto|lo",
        ),
    ),
    "comercio": (
        *(
            "la gasolinera",
            "el restaurante",
            "el supermercado",
            "una tienda de internet",
            "el hotel de {ciudad}",
        ),
        *(
            "la farmacia",
            "una zapatería de {ciudad}",
            "el aparcamiento",
            "la librería",
            "la academia de {ciudad}",
        ),
    ),
    "reserva": (
        *(
            "el vuelo a {ciudad}|lo",
            "la reserva del hotel de {ciudad}|la",
            "los billetes a {ciudad}|los",
        ),
        *("la habitación de {ciudad}|la", "el coche de alquiler|lo", "el viaje a {país}|lo"),
        *("las noches de {ciudad}|las", "el asiento del tren a {ciudad}|lo"),
    ),
    "viaje": (
        *(
            "un vuelo a {ciudad}",
            "dos billetes de tren a {ciudad}",
            "una habitación doble en {ciudad}",
        ),
        *("un hotel en {ciudad}", "un coche de alquiler en {ciudad}", "un viaje a {país}"),
        *("tres noches en {ciudad}", "un asiento en el tren a {ciudad}"),
    ),
    "servicio": (
        "internet",
        "el teléfono fijo",
        "el móvil",
        "la línea",
        "la fibra",
        "el wifi",
        "la televisión",
    ),
    "línea": ("conexión", "línea", "cobertura", "señal", "internet", "teléfono"),
    "días": ("dos días", "tres días", "una semana", "cuatro horas", "quince días"),
    "rato": ("diez minutos", "dos por tres", "rato", "vez que llueve", "media hora"),
    "concepto": (
        *(
            "el alquiler",
            "el recibo de la luz",
            "las entradas",
            "el vuelo a {ciudad}",
            "la cena",
            "el regalo",
        ),
        *("la factura del gas", "el hotel de {ciudad}"),
    ),
    "quien": ("{mujer}", "{hombre}", "{mujer} {apellido}", "{hombre} {apellido}"),
    "persona": (
        *("{quien}",) * 4,
        "mi madre",
        "mi hermano",
        "mi casera",
        "la señora {apellido}",
        "el señor {apellido}",
    ),
    "mujer": _lexicon.WOMEN,
    "hombre": _lexicon.MEN,
    "apellido": _lexicon.SURNAMES,
    "ciudad": _lexicon.CITIES,
    "país": _lexicon.COUNTRIES,
    "día": (
        *_lexicon.WEEKDAYS,
        *(f"{d} de {m}" for d, m in zip(range(2, 26, 2), _lexicon.MONTHS, strict=True)),
    ),
    "cantidad": tuple(
        f"{n} euros" for n in (12, 20, 35, 49, 60, 75, 90, 120, 150, 180, 240, 300, 450, 800, 950)
    ),
}


def _other_matters(rule: str) -> tuple[str, ...]:
    own = _DOUBTFUL.get(rule, (rule,))
    return tuple(text for label, texts in _OPENINGS.items() if label not in own for text in texts)


def _other_requests(rule: str) -> tuple[str, ...]:
    own = (rule, *_DOUBTFUL.get(rule, ()))
    return tuple(text for label in LABELS or () if label not in own for text in _REQUESTS[label])


_GRAMMAR = Grammar(
    {
        **_REQUESTS,
        **_FILLERS,
        **{f"{rule}_antes": _other_matters(rule) for rule in _REQUESTS},
        **{f"{rule}_otro": _other_requests(rule) for rule in _REQUESTS},
        **{f"{rule}_cita": tuple(q.format(rule) for q in _QUOTES) for rule in _REQUESTS},
        **{f"{rule}_directo": (f"{{hola}}{{{rule}}}{{cierre}}",) for rule in _REQUESTS},
        **{
            f"{rule}_rodeo": (f"{{hola}}{{{rule}_antes}}{{{rule}}}{{cierre}}",)
            for rule in _REQUESTS
        },
    },
    held=frozenset(
        {
            *(LABELS or ()),
            "recibo",
            "reserva",
            "viaje",
            "comercio",
            "mujer",
            "hombre",
            "apellido",
            "ciudad",
        }
    ),
    unseen=0.15,
)
